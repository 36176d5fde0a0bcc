/* SPDX-License-Identifier: BSD-3-Clause */
/* HTTP/1.1 over the control socket, the little of it that weir-control speaks. */
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/run/weir/control.sock"

const char *wr_cli_socket(struct wr_cli *c)
{
	if (c->socket == NULL)
		c->socket = DEFAULT_SOCKET;
	return c->socket;
}

static int dial(struct wr_cli *c)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	const char *path = wr_cli_socket(c);
	int fd, err;

	if (strlen(path) >= sizeof(sa.sun_path)) {
		wr_cli_fail(c, "socket path longer than %zu bytes: %s", sizeof(sa.sun_path) - 1,
		            path);
		return -ENAMETOOLONG;
	}
	memcpy(sa.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	err = errno;
	close(fd);
	if (err == EACCES)
		wr_cli_fail(c, "no permission on %s; run as root or as a member of its group",
		            path);
	else
		wr_cli_fail(c,
		            "weir-control does not answer on %s (%s); start it, or name its "
		            "socket with --socket",
		            path, strerror(err));
	return -err;
}

static int send_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return -EIO;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

/* Reads to the end of the connection: every request asks for Connection: close. */
static int read_all(int fd, char **out, size_t *out_n)
{
	size_t n = 0, room = 65536;
	char *buf = malloc(room + 1);

	while (buf != NULL) {
		ssize_t k = read(fd, buf + n, room - n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			break;
		if (k == 0) {
			buf[n] = '\0';
			*out = buf;
			*out_n = n;
			return 0;
		}
		n += (size_t)k;
		if (n == room) {
			char *more = room < WR_CLI_REPLY_MAX ? realloc(buf, room * 2 + 1) : NULL;

			if (more == NULL)
				break;
			buf = more;
			room *= 2;
		}
	}
	free(buf);
	return -EIO;
}

static int parse(struct wr_cli *c, const char *buf, size_t n, json_t **reply)
{
	const char *body = strstr(buf, "\r\n\r\n");
	json_error_t e;
	int status;

	if (body == NULL || sscanf(buf, "HTTP/1.%*d %d", &status) != 1) {
		wr_cli_fail(c, "the answer on %s is not weir-control's", wr_cli_socket(c));
		return -EPROTO;
	}
	body += 4;
	*reply = json_loadb(body, n - (size_t)(body - buf), JSON_DECODE_ANY, &e);
	if (*reply == NULL) {
		/* Plain text answers (healthz, metrics) travel as a JSON string. */
		*reply = json_stringn(body, n - (size_t)(body - buf));
		if (*reply == NULL) {
			wr_cli_fail(c, "weir-control's answer is neither JSON nor text");
			return -EPROTO;
		}
	}
	return status;
}

int wr_cli_call(struct wr_cli *c, const char *method, const char *path, const json_t *body,
                json_t **reply)
{
	char head[1024], *text = NULL, *buf = NULL;
	size_t n = 0;
	int fd, rc, k;

	*reply = NULL;
	if (body != NULL && (text = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY)) == NULL)
		return -ENOMEM;
	fd = dial(c);
	if (fd < 0) {
		free(text);
		return fd;
	}
	k = snprintf(head, sizeof(head),
	             "%s %s HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n"
	             "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
	             method, path, text != NULL ? strlen(text) : (size_t)0);
	rc = k < (int)sizeof(head) ? send_all(fd, head, (size_t)k) : -ENAMETOOLONG;
	if (rc == 0 && text != NULL)
		rc = send_all(fd, text, strlen(text));
	if (rc == 0)
		rc = read_all(fd, &buf, &n);
	if (rc == 0)
		rc = parse(c, buf, n, reply);
	else
		wr_cli_fail(c, "the connection to weir-control broke (%s); its log says why",
		            strerror(-rc));
	free(buf);
	free(text);
	close(fd);
	return rc;
}

json_t *wr_cli_ask(struct wr_cli *c, const char *method, const char *path, const json_t *body)
{
	json_t *reply = NULL;
	int status = wr_cli_call(c, method, path, body, &reply);

	if (status >= 200 && status < 300)
		return reply;
	if (status > 0 && c->json)
		wr_cli_print_json(reply);
	else if (status > 0) {
		const char *why = wr_cli_str(reply, "error");

		wr_cli_fail(c, "%s",
		            why[0] != '\0'          ? why
		            : json_is_string(reply) ? json_string_value(reply)
		                                    : "refused by weir-control");
	}
	json_decref(reply);
	return NULL;
}

const char *wr_cli_str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

long long wr_cli_int(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

void wr_cli_print_json(const json_t *v)
{
	json_dumpf(v, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	putchar('\n');
}

void wr_cli_put_safe(FILE *f, const char *s)
{
	for (; *s != '\0'; s++) {
		unsigned char b = (unsigned char)*s;

		if (b < 0x20 || b >= 0x7f)
			fprintf(f, "\\x%02x", b);
		else
			fputc(b, f);
	}
}
