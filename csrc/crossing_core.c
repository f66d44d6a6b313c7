/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Stepping and running one vCPU from Python. */

/* Letting go of the GIL costs little by itself, but where other threads compute, getting it back
 * takes a switch interval (5 ms). So a call that may do no more than so many instructions keeps
 * it, and so does a step, whose one instruction does at most STEP_BATCH elements. */
enum { HELD_AT_MOST = 64 };

typedef __typeof__(&vmmkit_step) step_function;
typedef __typeof__(&vmmkit_run) run_function;

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
