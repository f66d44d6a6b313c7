/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Python's way into the native engine where every nanosecond shows: decode, step, run, resume.
 *
 * The engine itself is the cffi module next door, which knows nothing of Python objects. This
 * module is handed the addresses of its functions and is all about Python objects: arguments come
 * as a C array (METH_FASTCALL), and results are made here instead of being unpacked in Python.
 * It holds no state of its own, and of the records it knows what the build generates from
 * _record.py (crossing_record.h).
 *
 * A function pointer travels as a Python integer. Only _native_engine.py makes these objects.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "crossing_record.h"

/* Small integers are most of what a decoded instruction consists of. */
enum { SMALLEST = -128, SMALL_COUNT = 384 };

/* Letting go of the GIL costs little by itself, but where other threads compute, getting it back
 * takes a switch interval (5 ms). So a call that may do no more than so many instructions keeps
 * it, and so does a step, whose one instruction does at most STEP_BATCH elements. */
enum { HELD_AT_MOST = 64 };

typedef __typeof__(&vmmkit_decode) decode_function;
typedef __typeof__(&vmmkit_step) step_function;
typedef __typeof__(&vmmkit_run) run_function;

typedef struct {
    PyObject_HEAD
    decode_function decode;
    PyTypeObject *instruction;
    PyObject *small[SMALL_COUNT];
    PyMethodDef shortcut; /* of the function that `shortcut` makes, once */
    PyObject *otherwise;
    PyObject *doc; /* bytes; shortcut.ml_doc points into it */
    PyObject *home; /* name of the module where the function is public */
} decoder;

/* Hidden from the cycle collector, owner and all: it would clear memoryviews that the engine's
 * structures still point into, in whatever order it finds them. */
typedef struct {
    PyObject_HEAD
    step_function step;
    run_function run;
    step_function resume;
    const vmmkit_vcpu *vcpu;
    PyObject *owner; /* keeps alive whatever vcpu points at */
} core;

/* Function pointers and object pointers have one size wherever Python runs. */
static int take_address(PyObject *number, void *pointer)
{
    void *address = PyLong_AsVoidPtr(number);
    if (!address) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "the address of an engine's function is 0");
        return -1;
    }
    memcpy(pointer, &address, sizeof address);
    return 0;
}

/* --- decode ---------------------------------------------------------------------------------- */

static inline PyObject *integer(const decoder *self, int64_t value)
{
    uint64_t place = (uint64_t)value - (uint64_t)SMALLEST;
    if (place >= SMALL_COUNT)
        return PyLong_FromLongLong(value);
    Py_INCREF(self->small[place]);
    return self->small[place];
}

/* Takes the reference to `value`; NULL is an error already set. */
static inline int put(PyObject *insn, Py_ssize_t place, PyObject *value)
{
    return value ? PyTuple_SetItem(insn, place, value) : -1;
}

static PyObject *new_instruction(const decoder *self, const vmmkit_insn *found)
{
    PyObject *insn = PyType_GenericAlloc(self->instruction, VMMKIT_INSN_FIELD_COUNT);
    Py_ssize_t place = 0;
    if (!insn)
        return NULL;
#define PUT(field)                                                                                 \
    if (put(insn, place++, integer(self, found->field)))                                           \
        goto failed;
    VMMKIT_INSN_FIELDS(PUT)
#undef PUT
    return insn;
failed:
    Py_DECREF(insn);
    return NULL;
}

static PyObject *decode_window(const decoder *self, const void *code, Py_ssize_t length, int mode)
{
    vmmkit_insn found;
    int failure = self->decode(code, (size_t)length, mode, &found);
    return failure ? integer(self, failure) : new_instruction(self, &found);
}

/* Copied first: guest RAM may change under the decoder's eyes. */
static PyObject *decode_buffer(const decoder *self, PyObject *code, int mode)
{
    uint8_t window[VMMKIT_LIMIT_MAX_LENGTH];
    Py_ssize_t length;
    Py_buffer view;
    if (PyObject_GetBuffer(code, &view, PyBUF_SIMPLE)) {
        if (!PyErr_ExceptionMatches(PyExc_TypeError) && !PyErr_ExceptionMatches(PyExc_BufferError))
            return NULL;
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    length = view.len < VMMKIT_LIMIT_MAX_LENGTH ? view.len : VMMKIT_LIMIT_MAX_LENGTH;
    if (length)
        memcpy(window, view.buf, (size_t)length);
    PyBuffer_Release(&view);
    return decode_window(self, window, length, mode);
}

/* 16, 32 or 64, and 0 for anything else. */
static inline int plain_mode(PyObject *mode)
{
    int overflow;
    long value = PyLong_CheckExact(mode) ? PyLong_AsLongAndOverflow(mode, &overflow) : 0;
    return value == 64 || value == 32 || value == 16 ? (int)value : 0;
}

/* An instruction, the number of a failure, or None for arguments that are not plain. */
static inline PyObject *decode_plain(const decoder *self, PyObject *code, PyObject *mode_object)
{
    int mode = plain_mode(mode_object);
    if (!mode)
        Py_RETURN_NONE;
    if (!PyBytes_CheckExact(code))
        return decode_buffer(self, code, mode);
    return decode_window(self, PyBytes_AsString(code), PyBytes_Size(code), mode);
}

static int check_count(const char *name, Py_ssize_t count, Py_ssize_t wanted)
{
    if (count == wanted)
        return 0;
    PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments (%zd given)", name, wanted, count);
    return -1;
}

static PyObject *decoder_decode(decoder *self, PyObject *const *args, Py_ssize_t count)
{
    return check_count("decode", count, 2) ? NULL : decode_plain(self, args[0], args[1]);
}

/* The fields are written into tuples of this type without asking it, so it must be no more than a
 * tuple with names, and of as many. */
static int check_instruction(PyTypeObject *type)
{
    PyObject *names;
    Py_ssize_t count;
    if (!PyType_IsSubtype(type, &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "the instruction's type is no tuple");
        return -1;
    }
    names = PyObject_GetAttrString((PyObject *)type, "_fields");
    count = names ? PyObject_Size(names) : -1;
    Py_XDECREF(names);
    if (count >= 0 && count != VMMKIT_INSN_FIELD_COUNT) {
        PyErr_Format(PyExc_ValueError, "an instruction has %d fields here, not %zd",
                     VMMKIT_INSN_FIELD_COUNT, count);
        return -1;
    }
    return count < 0 ? -1 : 0;
}

static PyObject *decoder_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *address;
    PyTypeObject *instruction;
    decoder *self;
    (void)keywords;
    if (!PyArg_ParseTuple(args, "OO!:Decoder", &address, &PyType_Type, &instruction) ||
        check_instruction(instruction))
        return NULL;
    self = (decoder *)PyType_GenericAlloc(type, 0);
    if (!self)
        return NULL;
    Py_INCREF((PyObject *)instruction);
    self->instruction = instruction;
    for (int place = 0; place < SMALL_COUNT; place++) {
        self->small[place] = PyLong_FromLong(SMALLEST + place);
        if (!self->small[place])
            goto failed;
    }
    if (!take_address(address, &self->decode))
        return (PyObject *)self;
failed:
    Py_DECREF((PyObject *)self);
    return NULL;
}

/* --- a public function in C ------------------------------------------------------------------ */

/* Passes a call on as it came. */
static PyObject *call_otherwise(PyObject *function, PyObject *const *args, Py_ssize_t count,
                                PyObject *names)
{
    Py_ssize_t named = names ? PyTuple_Size(names) : 0;
    PyObject *positional = PyTuple_New(count), *keywords = PyDict_New(), *result = NULL;
    if (!positional || !keywords)
        goto done;
    for (Py_ssize_t place = 0; place < count; place++) {
        Py_INCREF(args[place]);
        if (PyTuple_SetItem(positional, place, args[place]))
            goto done;
    }
    for (Py_ssize_t place = 0; place < named; place++)
        if (PyDict_SetItem(keywords, PyTuple_GetItem(names, place), args[count + place]))
            goto done;
    result = PyObject_Call(function, positional, keywords);
done:
    Py_XDECREF(positional);
    Py_XDECREF(keywords);
    return result;
}

static PyObject *shortcut_call(decoder *self, PyObject *const *args, Py_ssize_t count,
                               PyObject *names)
{
    if (count == 2 && !names) {
        PyObject *result = decode_plain(self, args[0], args[1]);
        if (!result || Py_TYPE(result) == self->instruction)
            return result;
        Py_DECREF(result);
    }
    return call_otherwise(self->otherwise, args, count, names);
}

/* A bound function pickles as an attribute of what it is bound to: here, of its public module. */
static PyObject *decoder_reduce(decoder *self, PyObject *unused)
{
    PyObject *importlib = self->home ? PyImport_ImportModule("importlib") : NULL, *import, *result;
    (void)unused;
    if (!self->home)
        PyErr_SetString(PyExc_TypeError, "the engine's own decoder has no public name");
    import = importlib ? PyObject_GetAttrString(importlib, "import_module") : NULL;
    result = import ? Py_BuildValue("O(O)", import, self->home) : NULL;
    Py_XDECREF(importlib);
    Py_XDECREF(import);
    return result;
}

#define METHOD(function) ((PyCFunction)(void (*)(void))(function))

/* Returns a function that decodes plain arguments by itself and leaves all else to `otherwise`. */
static PyObject *decoder_shortcut(decoder *self, PyObject *const *args, Py_ssize_t count)
{
    char *doc = count == 3 ? PyBytes_AsString(args[1]) : NULL;
    if (!doc || self->otherwise) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "shortcut() takes 3 arguments, and once only");
        return NULL;
    }
    Py_INCREF(self->otherwise = args[0]);
    Py_INCREF(self->doc = args[1]);
    Py_INCREF(self->home = args[2]);
    self->shortcut.ml_name = "decode";
    self->shortcut.ml_meth = METHOD(shortcut_call);
    self->shortcut.ml_flags = METH_FASTCALL | METH_KEYWORDS;
    self->shortcut.ml_doc = doc;
    return PyCFunction_NewEx(&self->shortcut, (PyObject *)self, self->home);
}

static int decoder_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((decoder *)self)->instruction);
    Py_VISIT(((decoder *)self)->otherwise);
    return 0;
}

/* An instance of a heap type owns a reference to its type. There is no tp_clear: what is in here
 * is used unchecked, and whoever else is part of a cycle can break it. */
static void decoder_dealloc(PyObject *self)
{
    decoder *dying = (decoder *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    for (int place = 0; place < SMALL_COUNT; place++)
        Py_XDECREF(dying->small[place]);
    Py_XDECREF((PyObject *)dying->instruction);
    Py_XDECREF(dying->otherwise);
    Py_XDECREF(dying->doc);
    Py_XDECREF(dying->home);
    PyObject_GC_Del(self);
    Py_DECREF((PyObject *)type);
}

static PyMethodDef decoder_methods[] = {
    {"decode", METHOD(decoder_decode), METH_FASTCALL,
     PyDoc_STR("decode($self, code, mode, /)\n--\n\n"
               "Return an Instruction, the number of a failure, or None for uncommon arguments.")},
    {"__reduce__", METHOD(decoder_reduce), METH_NOARGS, NULL},
    {"shortcut", METHOD(decoder_shortcut), METH_FASTCALL,
     PyDoc_STR("shortcut($self, otherwise, doc, home, /)\n--\n\n"
               "Return a function that asks `otherwise` about anything but a plain success.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot decoder_slots[] = {
    {Py_tp_new, decoder_new},
    {Py_tp_traverse, decoder_traverse},
    {Py_tp_dealloc, decoder_dealloc},
    {Py_tp_methods, decoder_methods},
    {0, NULL},
};

static PyType_Spec decoder_spec = {
    .name = "vmmkit.insn._crossing.Decoder",
    .basicsize = sizeof(decoder),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = decoder_slots,
};

/* --- step, run, resume ----------------------------------------------------------------------- */

/* The low 64 bits, as the Python engine takes them. */
static int take_word(PyObject *number, uint64_t *word)
{
    PyObject *index;
    if (PyLong_CheckExact(number)) {
        *word = PyLong_AsUnsignedLongLongMask(number);
        return 0;
    }
    index = PyNumber_Index(number);
    if (!index)
        return -1;
    *word = PyLong_AsUnsignedLongLongMask(index);
    Py_DECREF(index);
    return 0;
}

static PyObject *core_step(core *self, PyObject *answer)
{
    uint64_t word;
    if (take_word(answer, &word))
        return NULL;
    return PyLong_FromLong(self->step(self->vcpu, word));
}

static PyObject *core_run(core *self, PyObject *const *args, Py_ssize_t count)
{
    uint64_t budget, word;
    int kind;
    if (check_count("run", count, 2) || take_word(args[0], &budget) || take_word(args[1], &word))
        return NULL;
    if (budget <= HELD_AT_MOST)
        return PyLong_FromLong(self->run(self->vcpu, budget, word));
    Py_BEGIN_ALLOW_THREADS
    kind = self->run(self->vcpu, budget, word);
    Py_END_ALLOW_THREADS
    return PyLong_FromLong(kind);
}

/* Whether a resumed call is a short one; what it may do stands in the record. */
static inline int is_short(const vmmkit_cpu *cpu)
{
    return cpu->limit - cpu->retired <= HELD_AT_MOST && cpu->batch <= VMMKIT_LIMIT_STEP_BATCH;
}

static PyObject *core_resume(core *self, PyObject *answer)
{
    uint64_t word;
    int kind;
    if (take_word(answer, &word))
        return NULL;
    if (is_short(self->vcpu->cpu))
        return PyLong_FromLong(self->resume(self->vcpu, word));
    Py_BEGIN_ALLOW_THREADS
    kind = self->resume(self->vcpu, word);
    Py_END_ALLOW_THREADS
    return PyLong_FromLong(kind);
}

static PyObject *core_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *step, *run, *resume, *vcpu, *owner;
    core *self;
    (void)keywords;
    if (!PyArg_ParseTuple(args, "OOOOO:Core", &step, &run, &resume, &vcpu, &owner))
        return NULL;
    self = (core *)PyType_GenericAlloc(type, 0);
    if (!self)
        return NULL;
    Py_INCREF(owner);
    self->owner = owner;
    if (!take_address(step, &self->step) && !take_address(run, &self->run) &&
        !take_address(resume, &self->resume) && !take_address(vcpu, &self->vcpu))
        return (PyObject *)self;
    Py_DECREF((PyObject *)self);
    return NULL;
}

static void core_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(((core *)self)->owner);
    PyObject_Free(self);
    Py_DECREF((PyObject *)type);
}

static PyMethodDef core_methods[] = {
    {"step", METHOD(core_step), METH_O,
     PyDoc_STR("step($self, answer, /)\n--\n\nExecute one instruction.")},
    {"run", METHOD(core_run), METH_FASTCALL,
     PyDoc_STR("run($self, budget, answer, /)\n--\n\nExecute up to `budget` instructions.")},
    {"resume", METHOD(core_resume), METH_O,
     PyDoc_STR("resume($self, answer, /)\n--\n\nGo on after a device access.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot core_slots[] = {
    {Py_tp_new, core_new},
    {Py_tp_dealloc, core_dealloc},
    {Py_tp_methods, core_methods},
    {0, NULL},
};

static PyType_Spec core_spec = {
    .name = "vmmkit.insn._crossing.Core",
    .basicsize = sizeof(core),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = core_slots,
};

/* --- the module ------------------------------------------------------------------------------ */

static int add_type(PyObject *module, PyType_Spec *spec)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    int failed = !type || PyModule_AddType(module, (PyTypeObject *)type);
    Py_XDECREF(type);
    return failed ? -1 : 0;
}

static int execute_module(PyObject *module)
{
    if (add_type(module, &decoder_spec) || add_type(module, &core_spec))
        return -1;
    return PyModule_AddStringConstant(module, "digest", VMMKIT_DIGEST);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, execute_module},
    {0, NULL},
};

static PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_crossing",
    .m_doc = "The short way into the native engine.",
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__crossing(void)
{
    return PyModuleDef_Init(&module_definition);
}
