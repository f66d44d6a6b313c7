/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Decoding from Python: bytes in, an Instruction out. */

/* Small integers are most of what a decoded instruction consists of. */
enum { SMALLEST = -128, SMALL_COUNT = 384 };

typedef __typeof__(&vmmkit_decode) decode_function;

typedef struct {
    PyObject_HEAD
    decode_function decode;
    PyTypeObject *instruction;
    PyObject *small[SMALL_COUNT];
    PyMethodDef shortcut; /* of the function that `shortcut` makes, once */
    PyObject *otherwise;
    PyObject *doc; /* a string; shortcut.ml_doc points into it */
    PyObject *home; /* name of the module where the function is public */
} decoder;

static inline PyObject *integer(const decoder *self, int64_t value)
{
    uint64_t place = (uint64_t)value - (uint64_t)SMALLEST;
    if (place >= SMALL_COUNT)
        return PyLong_FromLongLong(value);
    Py_INCREF(self->small[place]);
    return self->small[place];
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

static PyObject *decoder_decode(decoder *self, PyObject *const *args, Py_ssize_t count)
{
    return check_count("decode", count, 2) ? NULL : decode_plain(self, args[0], args[1]);
}

static PyObject *decoder_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *address;
    PyTypeObject *instruction;
    decoder *self;
    (void)keywords;
    if (!PyArg_ParseTuple(args, "OO!:Decoder", &address, &PyType_Type, &instruction) ||
        check_named_tuple(instruction, VMMKIT_INSN_FIELD_COUNT))
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

/* The text that `help` and `inspect` read: signature and documentation of `function`. */
static const char *take_doc(decoder *self, PyObject *function)
{
    PyObject *doc = PyObject_GetAttrString(function, "__doc__");
    self->home = PyObject_GetAttrString(function, "__module__");
    if (doc && self->home)
        self->doc = PyUnicode_FromFormat(
            "decode($self, code, mode, *, engine=None)\n--\n\n%S", doc);
    Py_XDECREF(doc);
    return self->doc ? PyUnicode_AsUTF8AndSize(self->doc, NULL) : NULL;
}

/* Returns a function that decodes plain arguments by itself and leaves all else to `function`. */
static PyObject *decoder_shortcut(decoder *self, PyObject *function)
{
    if (self->otherwise) {
        PyErr_SetString(PyExc_TypeError, "a decoder has one public function");
        return NULL;
    }
    Py_INCREF(function);
    self->otherwise = function;
    self->shortcut.ml_name = "decode";
    self->shortcut.ml_meth = METHOD(shortcut_call);
    self->shortcut.ml_flags = METH_FASTCALL | METH_KEYWORDS;
    self->shortcut.ml_doc = take_doc(self, function);
    if (!self->shortcut.ml_doc)
        return NULL;
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
    {"shortcut", METHOD(decoder_shortcut), METH_O,
     PyDoc_STR("shortcut($self, otherwise, /)\n--\n\n"
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
