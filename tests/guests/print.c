/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Formatted output, and the list of results. */
#include "guest.h"

#include <stdarg.h>

struct sink {
    char *out;
    size_t size, length;
};

struct field {
    int left, zero, width, precision, wide;
};

static void emit(struct sink *sink, char character)
{
    if (!sink->out)
        put_character(character);
    else if (sink->length + 1 < sink->size)
        sink->out[sink->length] = character;
    sink->length++;
}

static void pad(struct sink *sink, char character, int count)
{
    while (count-- > 0)
        emit(sink, character);
}

/* Sign and digits, padded to the width: zeroes go between the two. */
static void emit_field(struct sink *sink, const struct field *field, const char *sign,
                       const char *text, int length)
{
    int signs = *sign != 0;
    int blanks = field->width - length - signs;
    int zero = field->zero && !field->left;
    if (!field->left && !zero)
        pad(sink, ' ', blanks);
    if (signs)
        emit(sink, *sign);
    if (zero)
        pad(sink, '0', blanks);
    for (int place = 0; place < length; place++)
        emit(sink, text[place]);
    if (field->left)
        pad(sink, ' ', blanks);
}

static void emit_number(struct sink *sink, const struct field *field, uint64_t value, uint32_t base,
                        const char *sign, const char *digits)
{
    char text[24];
    int place = sizeof text;
    do {
        text[--place] = digits[value % base];
        value /= base;
    } while (value);
    emit_field(sink, field, sign, text + place, (int)sizeof text - place);
}

static void emit_signed(struct sink *sink, const struct field *field, int64_t value)
{
    uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
    emit_number(sink, field, magnitude, 10, value < 0 ? "-" : "", "0123456789");
}

static void emit_text(struct sink *sink, const struct field *field, const char *text)
{
    int length = 0;
    while (text[length] && (field->precision < 0 || length < field->precision))
        length++;
    struct field plain = *field;
    plain.zero = 0;
    emit_field(sink, &plain, "", text, length);
}

/* A number in the text, or the next argument where it is an asterisk. */
static int read_count(const char **text, va_list *arguments)
{
    if (**text == '*') {
        ++*text;
        return va_arg(*arguments, int);
    }
    int count = 0;
    while (**text >= '0' && **text <= '9')
        count = count * 10 + *(*text)++ - '0';
    return count;
}

static const char *read_field(const char *text, struct field *field, va_list *arguments)
{
    *field = (struct field){.precision = -1};
    for (;; text++) {
        if (*text == '-')
            field->left = 1;
        else if (*text == '0')
            field->zero = 1;
        else
            break;
    }
    field->width = read_count(&text, arguments);
    if (field->width < 0) {
        field->left = 1;
        field->width = -field->width;
    }
    if (*text == '.') {
        text++;
        field->precision = read_count(&text, arguments);
    }
    if (text[0] == 'l' && text[1] == 'l') {
        field->wide = 1;
        text += 2;
    }
    return text;
}

static void emit_argument(struct sink *sink, const struct field *field, char conversion,
                          va_list *arguments)
{
    char character;
    switch (conversion) {
    case 'd':
    case 'i':
        emit_signed(sink, field,
                    field->wide ? va_arg(*arguments, long long) : va_arg(*arguments, int));
        break;
    case 'u':
    case 'x':
    case 'X':
        emit_number(sink, field,
                    field->wide ? va_arg(*arguments, unsigned long long)
                                : va_arg(*arguments, unsigned),
                    conversion == 'u' ? 10 : 16, "",
                    conversion == 'X' ? "0123456789ABCDEF" : "0123456789abcdef");
        break;
    case 's':
        emit_text(sink, field, va_arg(*arguments, const char *));
        break;
    case 'c':
        character = (char)va_arg(*arguments, int);
        emit_field(sink, field, "", &character, 1);
        break;
    default:
        emit(sink, conversion);
    }
}

static void emit_all(struct sink *sink, const char *text, va_list *arguments)
{
    while (*text) {
        struct field field;
        if (*text != '%') {
            emit(sink, *text++);
            continue;
        }
        text = read_field(text + 1, &field, arguments);
        emit_argument(sink, &field, *text++, arguments);
    }
}

int format(char *out, size_t size, const char *text, ...)
{
    struct sink sink = {out, size, 0};
    va_list arguments;
    va_start(arguments, text);
    emit_all(&sink, text, &arguments);
    va_end(arguments);
    if (size)
        out[sink.length < size ? sink.length : size - 1] = 0;
    return (int)sink.length;
}

void print(const char *text, ...)
{
    struct sink sink = {NULL, 0, 0};
    va_list arguments;
    va_start(arguments, text);
    emit_all(&sink, text, &arguments);
    va_end(arguments);
}

void put_result(uint32_t value)
{
    if (RESULT->count < RESULT_WORDS)
        RESULT->words[RESULT->count++] = value;
}

void put_result64(uint64_t value)
{
    put_result((uint32_t)value);
    put_result((uint32_t)(value >> 32));
}
