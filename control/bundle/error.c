/* SPDX-License-Identifier: BSD-3-Clause */
#include "bundle/bundle.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/text.h"

#define MESSAGE_MAX 512u

static void add(struct wr_bundle_errors *s, bool warning, const char *file, uint32_t line,
                const char *message)
{
	struct wr_bundle_error *e;

	if (warning)
		s->nwarnings++;
	else
		s->nerrors++;
	/* The last slots are kept for errors: a flood of warnings must not hide why a load failed.
	 */
	if (s->n >= WR_BUNDLE_ERRORS_MAX || (warning && s->n >= WR_BUNDLE_ERRORS_MAX / 2))
		return;
	if (s->n == s->room) {
		uint32_t room = s->room == 0 ? 16 : s->room * 2;
		struct wr_bundle_error *p = realloc(s->e, room * sizeof(*p));

		if (p == NULL)
			return;
		s->e = p;
		s->room = room;
	}
	e = &s->e[s->n];
	*e = (struct wr_bundle_error){
		.file = strdup(file), .message = strdup(message), .line = line, .warning = warning
	};
	if (e->file == NULL || e->message == NULL) {
		free(e->file);
		free(e->message);
		return;
	}
	s->n++;
}

void wr_bundle_error_add(struct wr_bundle_errors *s, const char *file, uint32_t line,
                         const char *fmt, ...)
{
	char text[MESSAGE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	add(s, false, file, line, text);
}

void wr_bundle_warning_add(struct wr_bundle_errors *s, const char *file, uint32_t line,
                           const char *fmt, ...)
{
	char text[MESSAGE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	add(s, true, file, line, text);
}

void wr_bundle_errors_print(const struct wr_bundle_errors *s, FILE *out)
{
	for (uint32_t i = 0; i < s->n; i++) {
		const struct wr_bundle_error *e = &s->e[i];
		char file[256];

		wr_text_escape(file, sizeof(file), e->file, strlen(e->file));
		if (e->line != 0)
			fprintf(out, "%s:%u: ", file, e->line);
		else
			fprintf(out, "%s: ", file);
		fprintf(out, "%s: %s\n", e->warning ? "warning" : "error", e->message);
	}
	if (s->nerrors + s->nwarnings > s->n)
		fprintf(out, "... and %u more\n", s->nerrors + s->nwarnings - s->n);
}

void wr_bundle_errors_free(struct wr_bundle_errors *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		free(s->e[i].file);
		free(s->e[i].message);
	}
	free(s->e);
	*s = (struct wr_bundle_errors){ 0 };
}
