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

static int check_count(const char *name, Py_ssize_t count, Py_ssize_t wanted)
{
    if (count == wanted)
        return 0;
    PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments (%zd given)", name, wanted, count);
    return -1;
}

/* Fields are written into tuples of this type without asking it, so it must be no more than a tuple
 * with names, and of as many. */
static int check_named_tuple(PyTypeObject *type, Py_ssize_t wanted)
{
    PyObject *names;
    Py_ssize_t count;
    if (!PyType_IsSubtype(type, &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "a type of results is no tuple");
        return -1;
    }
    names = PyObject_GetAttrString((PyObject *)type, "_fields");
    count = names ? PyObject_Size(names) : -1;
    Py_XDECREF(names);
    if (count >= 0 && count != wanted)
        PyErr_Format(PyExc_ValueError, "a result has %zd fields here, not %zd", wanted, count);
    return count == wanted ? 0 : -1;
}

/* Takes the reference to `value`; NULL is an error already set. */
static inline int put(PyObject *tuple, Py_ssize_t place, PyObject *value)
{
    return value ? PyTuple_SetItem(tuple, place, value) : -1;
}

#define METHOD(function) ((PyCFunction)(void (*)(void))(function))

#include "crossing_decode.c"
#include "crossing_core.c"

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
    if (PyModule_AddStringConstant(module, "sources", VMMKIT_SOURCES))
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
