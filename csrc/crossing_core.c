/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Stepping and running one vCPU from Python. */

/* Letting go of the GIL costs little by itself, but where other threads compute, getting it back
 * takes a switch interval (5 ms). So a call that may do no more than so many instructions keeps
 * it, and so does a step, whose one instruction does at most STEP_BATCH elements. */
enum { HELD_AT_MOST = 64 };

typedef __typeof__(&vmmkit_step) step_function;
typedef __typeof__(&vmmkit_run) run_function;

enum { KINDS = VMMKIT_EXIT_DEBUG + 1, SHAPE_WORDS = 4 };

/* An outcome that is nothing but words of the record; no type for any other. */
typedef struct {
    PyTypeObject *type;
    Py_ssize_t count;
    size_t word[SHAPE_WORDS];
} shape;

/* Hidden from the cycle collector, owner and all: it would clear memoryviews that the engine's
 * structures still point into, in whatever order it finds them. */
typedef struct {
    PyObject_HEAD
    step_function step;
    run_function run;
    step_function resume;
    const vmmkit_vcpu *vcpu;
    PyObject *owner; /* keeps alive whatever vcpu points at */
    shape shapes[KINDS]; /* by exit kind */
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

static PyObject *new_outcome(const shape *described, const vmmkit_cpu *cpu)
{
    const uint64_t *words = (const uint64_t *)cpu;
    PyObject *outcome = PyType_GenericAlloc(described->type, described->count);
    for (Py_ssize_t place = 0; outcome && place < described->count; place++)
        if (put(outcome, place, PyLong_FromUnsignedLongLong(words[described->word[place]])))
            Py_CLEAR(outcome);
    return outcome;
}

/* Whether the answer is of the plain kind, if any is due; else Python must look at it first. */
static inline int is_plain_answer(const core *self, PyObject *answer, uint64_t *word)
{
    const vmmkit_cpu *cpu = self->vcpu->cpu;
    int due = cpu->log_pending == VMMKIT_EXIT_READ || cpu->log_pending == VMMKIT_EXIT_PORT_IN;
    *word = 0;
    if (cpu->log_pending >= VMMKIT_EXIT_BLOCK_READ || (due && cpu->exit_size > 8))
        return 0;
    if (due ? !PyLong_CheckExact(answer) : answer != Py_None)
        return 0;
    if (due)
        *word = PyLong_AsUnsignedLongLongMask(answer);
    return 1;
}

/* The outcome, or the kind of one that is not plain. */
static PyObject *outcome_or_kind(const core *self, int kind)
{
    const vmmkit_cpu *cpu = self->vcpu->cpu;
    if (kind == VMMKIT_EXIT_WRITE && cpu->exit_size > 8)
        return PyLong_FromLong(kind);
    if (kind >= 0 && kind < KINDS && self->shapes[kind].type)
        return new_outcome(&self->shapes[kind], cpu);
    return PyLong_FromLong(kind);
}

static PyObject *core_advance(core *self, PyObject *answer)
{
    uint64_t word;
    if (!is_plain_answer(self, answer, &word))
        Py_RETURN_NONE;
    return outcome_or_kind(self, self->step(self->vcpu, word));
}

static int run_for(const core *self, uint64_t budget, uint64_t answer)
{
    int kind;
    if (budget <= HELD_AT_MOST)
        return self->run(self->vcpu, budget, answer);
    Py_BEGIN_ALLOW_THREADS
    kind = self->run(self->vcpu, budget, answer);
    Py_END_ALLOW_THREADS
    return kind;
}

static PyObject *core_proceed(core *self, PyObject *const *args, Py_ssize_t count)
{
    uint64_t budget, word;
    int kind;
    if (check_count("proceed", count, 2))
        return NULL;
    if (!PyLong_CheckExact(args[0]) || !is_plain_answer(self, args[1], &word))
        Py_RETURN_NONE;
    budget = PyLong_AsUnsignedLongLongMask(args[0]);
    if (budget - 1 >= VMMKIT_LIMIT_RUN_SLICE || PyLong_AsLong(args[0]) != (long)budget) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    kind = run_for(self, budget, word);
    if (kind == VMMKIT_EXIT_BUDGET) /* which means something else to a step */
        return PyLong_FromLong(kind);
    return outcome_or_kind(self, kind);
}

static PyObject *core_run(core *self, PyObject *const *args, Py_ssize_t count)
{
    uint64_t budget, word;
    if (check_count("run", count, 2) || take_word(args[0], &budget) || take_word(args[1], &word))
        return NULL;
    return PyLong_FromLong(run_for(self, budget, word));
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

static int take_shape(shape *described, PyObject *item)
{
    PyTypeObject *type;
    PyObject *words;
    if (item == Py_None)
        return 0;
    if (!PyArg_ParseTuple(item, "O!O!", &PyType_Type, &type, &PyTuple_Type, &words))
        return -1;
    described->count = PyTuple_Size(words);
    if (described->count > SHAPE_WORDS || check_named_tuple(type, described->count))
        return -1;
    for (Py_ssize_t place = 0; place < described->count; place++) {
        size_t word = PyLong_AsSize_t(PyTuple_GetItem(words, place));
        if (word >= sizeof(vmmkit_cpu) / sizeof(uint64_t))
            return -1;
        described->word[place] = word;
    }
    Py_INCREF((PyObject *)type);
    described->type = type;
    return 0;
}

static int take_shapes(core *self, PyObject *shapes)
{
    Py_ssize_t count = PyTuple_Size(shapes);
    int failed = count > KINDS;
    for (Py_ssize_t kind = 0; !failed && kind < count; kind++)
        failed = take_shape(&self->shapes[kind], PyTuple_GetItem(shapes, kind));
    if (failed && !PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "these outcomes do not fit the record");
    return failed ? -1 : 0;
}

static PyObject *core_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *step, *run, *resume, *vcpu, *owner, *shapes;
    core *self;
    (void)keywords;
    if (!PyArg_ParseTuple(args, "OOOOOO!:Core", &step, &run, &resume, &vcpu, &owner,
                          &PyTuple_Type, &shapes))
        return NULL;
    self = (core *)PyType_GenericAlloc(type, 0);
    if (!self)
        return NULL;
    Py_INCREF(owner);
    self->owner = owner;
    if (!take_address(step, &self->step) && !take_address(run, &self->run) &&
        !take_address(resume, &self->resume) && !take_address(vcpu, &self->vcpu) &&
        !take_shapes(self, shapes))
        return (PyObject *)self;
    Py_DECREF((PyObject *)self);
    return NULL;
}

static void core_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(((core *)self)->owner);
    for (int kind = 0; kind < KINDS; kind++)
        Py_XDECREF((PyObject *)((core *)self)->shapes[kind].type);
    PyObject_Free(self);
    Py_DECREF((PyObject *)type);
}

static PyMethodDef core_methods[] = {
    {"step", METHOD(core_step), METH_O,
     PyDoc_STR("step($self, answer, /)\n--\n\nExecute one instruction.")},
    {"advance", METHOD(core_advance), METH_O,
     PyDoc_STR("advance($self, answer, /)\n--\n\n"
               "Execute one instruction; return its outcome, or the kind of one that is not plain.\n"
               "None, with nothing done, for an answer that must be looked at first.")},
    {"proceed", METHOD(core_proceed), METH_FASTCALL,
     PyDoc_STR("proceed($self, budget, answer, /)\n--\n\n"
               "Execute up to `budget` instructions; else as `advance`.\n"
               "None for a budget out of its range as well.")},
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
