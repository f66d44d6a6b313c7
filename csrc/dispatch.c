/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors the table of handlers in src/vmmkit/insn/_pure.py. */

static NOINLINE int unknown(context *c)
{
    if (c->cpu->features & FEATURE_BIT(OTHER))
        return unsupported(c, VMMKIT_UNSUPPORTED_OPCODE, c->cpu->rip);
    return fault(c, UD, 0, 0);
}

static inline int execute(context *c)
{
    unsigned op = c->row->op;
    if (UNLIKELY(c->insn->prefixes & (VMMKIT_PREFIX_VEX | VMMKIT_PREFIX_EVEX) && c->real))
        return fault(c, UD, 0, 0);
    if (UNLIKELY(c->insn->prefixes & VMMKIT_PREFIX_REX2))
        return unknown(c);
    switch (op) {
    case VMMKIT_OP_ADD:
    case VMMKIT_OP_OR:
    case VMMKIT_OP_ADC:
    case VMMKIT_OP_SBB:
    case VMMKIT_OP_AND:
    case VMMKIT_OP_SUB:
    case VMMKIT_OP_XOR:
    case VMMKIT_OP_CMP:
    case VMMKIT_OP_TEST:
        return execute_binary(c, op);
    case VMMKIT_OP_INC:
    case VMMKIT_OP_DEC:
        return execute_unary(c, op, STATUS & ~CF);
    case VMMKIT_OP_NEG:
        return execute_unary(c, op, STATUS);
    case VMMKIT_OP_NOT:
        return execute_unary(c, op, 0);
    case VMMKIT_OP_MOV:
        return execute_mov(c);
    case VMMKIT_OP_MOVZX:
        return execute_movzx(c);
    case VMMKIT_OP_MOVSX:
    case VMMKIT_OP_MOVSXD:
        return execute_movsx(c);
    case VMMKIT_OP_MOVFROMSEG:
        return execute_mov_from_segment(c);
    case VMMKIT_OP_MOVTOSEG:
        return execute_mov_to_segment(c);
    case VMMKIT_OP_LEA:
        return execute_lea(c);
    case VMMKIT_OP_XCHG:
        return execute_xchg(c);
    case VMMKIT_OP_NOP:
    case VMMKIT_OP_PAUSE:
        return 0;
    case VMMKIT_OP_PUSH:
        return execute_push(c);
    case VMMKIT_OP_POP:
        return execute_pop(c);
    case VMMKIT_OP_JCC:
        return execute_jcc(c);
    case VMMKIT_OP_JMP:
        return execute_jmp(c);
    case VMMKIT_OP_CALL:
        return execute_call(c);
    case VMMKIT_OP_RET:
        return execute_ret(c);
    case VMMKIT_OP_LOOP:
    case VMMKIT_OP_LOOPE:
    case VMMKIT_OP_LOOPNE:
        return execute_loop(c, op);
    case VMMKIT_OP_JCXZ:
        return execute_jcxz(c);
    case VMMKIT_OP_MOVS:
    case VMMKIT_OP_STOS:
    case VMMKIT_OP_LODS:
    case VMMKIT_OP_CMPS:
    case VMMKIT_OP_SCAS:
    case VMMKIT_OP_INS:
    case VMMKIT_OP_OUTS:
        return execute_string(c);
    case VMMKIT_OP_IN:
        return execute_in(c);
    case VMMKIT_OP_OUT:
        return execute_out(c);
    case VMMKIT_OP_ROL:
    case VMMKIT_OP_ROR:
    case VMMKIT_OP_RCL:
    case VMMKIT_OP_RCR:
    case VMMKIT_OP_SHL:
    case VMMKIT_OP_SHR:
    case VMMKIT_OP_SAR:
        return execute_shift(c, op);
    case VMMKIT_OP_SHLD:
    case VMMKIT_OP_SHRD:
        return execute_double_shift(c, op);
    case VMMKIT_OP_MUL:
        return execute_multiply(c, op);
    case VMMKIT_OP_IMUL:
        return execute_imul(c, op);
    case VMMKIT_OP_MULX:
        return execute_mulx(c);
    case VMMKIT_OP_DIV:
    case VMMKIT_OP_IDIV:
        return execute_divide(c, op);
    case VMMKIT_OP_ADCX:
        return execute_add_with(c, CF);
    case VMMKIT_OP_ADOX:
        return execute_add_with(c, OF);
    case VMMKIT_OP_CBW:
        return execute_cbw(c);
    case VMMKIT_OP_CWD:
        return execute_cwd(c);
    case VMMKIT_OP_BT:
    case VMMKIT_OP_BTS:
    case VMMKIT_OP_BTR:
    case VMMKIT_OP_BTC:
        return execute_bit_test(c, op);
    case VMMKIT_OP_BSF:
    case VMMKIT_OP_BSR:
        return execute_scan(c, op);
    case VMMKIT_OP_TZCNT:
    case VMMKIT_OP_LZCNT:
        return execute_of_one(c, op, CF | ZF);
    case VMMKIT_OP_POPCNT:
    case VMMKIT_OP_BLSR:
    case VMMKIT_OP_BLSMSK:
    case VMMKIT_OP_BLSI:
        return execute_of_one(c, op, STATUS);
    case VMMKIT_OP_ANDN:
    case VMMKIT_OP_BEXTR:
    case VMMKIT_OP_BZHI:
        return execute_of_two(c, op, STATUS);
    case VMMKIT_OP_PDEP:
    case VMMKIT_OP_PEXT:
    case VMMKIT_OP_RORX:
    case VMMKIT_OP_SARX:
    case VMMKIT_OP_SHLX:
    case VMMKIT_OP_SHRX:
        return execute_of_two(c, op, 0);
    case VMMKIT_OP_BSWAP:
        return execute_bswap(c);
    case VMMKIT_OP_CRC32:
        return execute_crc32(c);
    case VMMKIT_OP_SETCC:
        return execute_setcc(c);
    case VMMKIT_OP_CMOVCC:
        return execute_cmovcc(c);
    case VMMKIT_OP_LAHF:
        return execute_lahf(c);
    case VMMKIT_OP_SAHF:
        return execute_sahf(c);
    case VMMKIT_OP_AAA:
    case VMMKIT_OP_AAS:
        return execute_unpacked(c, op);
    case VMMKIT_OP_DAA:
    case VMMKIT_OP_DAS:
        return execute_packed(c, op);
    case VMMKIT_OP_AAM:
        return execute_aam(c);
    case VMMKIT_OP_AAD:
        return execute_aad(c);
    case VMMKIT_OP_SALC:
        return execute_salc(c);
    case VMMKIT_OP_HLT:
        return execute_hlt(c);
    case VMMKIT_OP_CLI:
        return execute_cli(c);
    case VMMKIT_OP_STI:
        return execute_sti(c);
    case VMMKIT_OP_CLC:
        return execute_flag(c, CF, 0);
    case VMMKIT_OP_STC:
        return execute_flag(c, CF, CF);
    case VMMKIT_OP_CMC:
        return execute_flag(c, 0, CF);
    case VMMKIT_OP_CLD:
        return execute_flag(c, DF, 0);
    case VMMKIT_OP_STD:
        return execute_flag(c, DF, DF);
    case VMMKIT_OP_PUSHA:
        return execute_pusha(c);
    case VMMKIT_OP_POPA:
        return execute_popa(c);
    case VMMKIT_OP_PUSHF:
        return execute_pushf(c);
    case VMMKIT_OP_POPF:
        return execute_popf(c);
    case VMMKIT_OP_ENTER:
        return execute_enter(c);
    case VMMKIT_OP_LEAVE:
        return execute_leave(c);
    case VMMKIT_OP_XADD:
        return execute_xadd(c);
    case VMMKIT_OP_CMPXCHG:
        return execute_cmpxchg(c);
    case VMMKIT_OP_CMPXCHG8B:
        return execute_cmpxchg8b(c);
    case VMMKIT_OP_MOVBE:
        return execute_movbe(c);
    case VMMKIT_OP_MOVNTI:
        return execute_mov(c);
    case VMMKIT_OP_XLAT:
        return execute_xlat(c);
    case VMMKIT_OP_LES:
        return execute_load_far_pointer(c, ES);
    case VMMKIT_OP_LSS:
        return execute_load_far_pointer(c, SS);
    case VMMKIT_OP_LDS:
        return execute_load_far_pointer(c, DS);
    case VMMKIT_OP_LFS:
        return execute_load_far_pointer(c, FS);
    case VMMKIT_OP_LGS:
        return execute_load_far_pointer(c, GS);
    case VMMKIT_OP_BOUND:
        return execute_bound(c);
    case VMMKIT_OP_ARPL:
        return execute_arpl(c);
    case VMMKIT_OP_JMPF:
        return execute_jmpf(c);
    case VMMKIT_OP_CALLF:
        return execute_callf(c);
    case VMMKIT_OP_RETF:
        return execute_retf(c);
    case VMMKIT_OP_IRET:
        return execute_iret(c);
    case VMMKIT_OP_INT:
        return execute_int(c);
    case VMMKIT_OP_INT3:
        return execute_int3(c);
    case VMMKIT_OP_INTO:
        return execute_into(c);
    case VMMKIT_OP_INT1:
        return execute_int1(c);
    case VMMKIT_OP_LDMXCSR:
    case VMMKIT_OP_VLDMXCSR:
        return execute_ldmxcsr(c);
    case VMMKIT_OP_STMXCSR:
    case VMMKIT_OP_VSTMXCSR:
        return execute_stmxcsr(c);
    case VMMKIT_OP_FXSAVE:
        return execute_fxsave(c);
    case VMMKIT_OP_FXRSTOR:
        return execute_fxrstor(c);
    case VMMKIT_OP_XSAVE:
        return execute_xsave(c, 0, 0, 0);
    case VMMKIT_OP_XSAVEOPT:
        return execute_xsave(c, 1, 0, 0);
    case VMMKIT_OP_XSAVEC:
        return execute_xsave(c, 1, 1, 0);
    case VMMKIT_OP_XSAVES:
        return execute_xsave(c, 1, 1, 1);
    case VMMKIT_OP_XRSTOR:
        return execute_xrstor(c, 0);
    case VMMKIT_OP_XRSTORS:
        return execute_xrstor(c, 1);
    case VMMKIT_OP_XGETBV:
        return execute_xgetbv(c);
    case VMMKIT_OP_XSETBV:
        return execute_xsetbv(c);
    case VMMKIT_OP_FNINIT:
    case VMMKIT_OP_FNCLEX:
    case VMMKIT_OP_FNSTCW:
    case VMMKIT_OP_FNSTSW:
    case VMMKIT_OP_FLDCW:
    case VMMKIT_OP_FWAIT:
    case VMMKIT_OP_FNOP:
    case VMMKIT_OP_EMMS:
    case VMMKIT_OP_FNENI:
    case VMMKIT_OP_FNDISI:
    case VMMKIT_OP_FNSETPM:
        return execute_x87(c, op);
    case VMMKIT_OP_FLD:
    case VMMKIT_OP_FILD:
    case VMMKIT_OP_FBLD:
    case VMMKIT_OP_FLD1:
    case VMMKIT_OP_FLDL2T:
    case VMMKIT_OP_FLDL2E:
    case VMMKIT_OP_FLDPI:
    case VMMKIT_OP_FLDLG2:
    case VMMKIT_OP_FLDLN2:
    case VMMKIT_OP_FLDZ:
    case VMMKIT_OP_FST:
    case VMMKIT_OP_FSTP:
    case VMMKIT_OP_FSTPNCE:
    case VMMKIT_OP_FIST:
    case VMMKIT_OP_FISTP:
    case VMMKIT_OP_FISTTP:
    case VMMKIT_OP_FBSTP:
    case VMMKIT_OP_FXCH:
    case VMMKIT_OP_FCHS:
    case VMMKIT_OP_FABS:
    case VMMKIT_OP_FFREE:
    case VMMKIT_OP_FFREEP:
    case VMMKIT_OP_FINCSTP:
    case VMMKIT_OP_FDECSTP:
        return execute_x87_move(c, op);
    case VMMKIT_OP_FCOM:
    case VMMKIT_OP_FCOMP:
    case VMMKIT_OP_FCOMPP:
    case VMMKIT_OP_FUCOM:
    case VMMKIT_OP_FUCOMP:
    case VMMKIT_OP_FUCOMPP:
    case VMMKIT_OP_FICOM:
    case VMMKIT_OP_FICOMP:
    case VMMKIT_OP_FCOMI:
    case VMMKIT_OP_FCOMIP:
    case VMMKIT_OP_FUCOMI:
    case VMMKIT_OP_FUCOMIP:
    case VMMKIT_OP_FTST:
    case VMMKIT_OP_FXAM:
    case VMMKIT_OP_FCMOVB:
    case VMMKIT_OP_FCMOVE:
    case VMMKIT_OP_FCMOVBE:
    case VMMKIT_OP_FCMOVU:
    case VMMKIT_OP_FCMOVNB:
    case VMMKIT_OP_FCMOVNE:
    case VMMKIT_OP_FCMOVNBE:
    case VMMKIT_OP_FCMOVNU:
        return execute_x87_comparison(c, op);
    case VMMKIT_OP_FNSTENV:
    case VMMKIT_OP_FLDENV:
    case VMMKIT_OP_FNSAVE:
    case VMMKIT_OP_FRSTOR:
        return execute_x87_environment(c, op);
    case VMMKIT_OP_MOVDIRI:
        return execute_mov(c);
    case VMMKIT_OP_MOVDIR64B:
        return execute_movdir64b(c);
    case VMMKIT_OP_ENQCMD:
        return execute_enqcmd(c, 0);
    case VMMKIT_OP_ENQCMDS:
        return execute_enqcmd(c, 1);
    default:
        if (vector_operations[op].family)
            return execute_vector(c);
        return execute_system(c, op);
    }
}
