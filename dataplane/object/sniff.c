/* SPDX-License-Identifier: BSD-3-Clause */
#include "object/sniff.h"

#include <string.h>

#include "base/base.h"
#include "base/bytes.h"

enum type {
	T_OCTETS,
	T_TEXT,
	T_JPEG,
	T_PNG,
	T_GIF,
	T_WEBP,
	T_BMP,
	T_TIFF,
	T_JXL,
	T_JP2,
	T_HEIC,
	T_AVIF,
	T_ICO,
	T_PSD,
	T_MP4,
	T_MOV,
	T_3GP,
	T_M4A,
	T_MKV,
	T_WEBM,
	T_FLV,
	T_MPEGTS,
	T_MPEG,
	T_OGG,
	T_WAV,
	T_AVI,
	T_MP3,
	T_FLAC,
	T_PDF,
	T_OLE,
	T_RTF,
	T_ZIP,
	T_RAR,
	T_7Z,
	T_GZIP,
	T_XZ,
	T_ZSTD,
	T_BZIP2,
	T_LZ4,
	T_TAR,
	T_CAB,
	T_PE,
	T_ELF,
	T_MACHO,
	T_CLASS,
	T_WASM,
	T_DEX,
	T_SCRIPT,
	T_HTML,
	T_SVG,
	T_PHP,
	T_XML,
	T_COUNT
};

static const struct wr_type types[T_COUNT] = {
	/* clang-format off */
	[T_OCTETS] = { "application/octet-stream", WR_TYPE_UNKNOWN },
	[T_TEXT] = { "text/plain", WR_TYPE_TEXT },
	[T_XML] = { "text/xml", WR_TYPE_TEXT },
	[T_JPEG] = { "image/jpeg", WR_TYPE_IMAGE }, [T_PNG] = { "image/png", WR_TYPE_IMAGE },
	[T_GIF] = { "image/gif", WR_TYPE_IMAGE }, [T_WEBP] = { "image/webp", WR_TYPE_IMAGE },
	[T_BMP] = { "image/bmp", WR_TYPE_IMAGE }, [T_TIFF] = { "image/tiff", WR_TYPE_IMAGE },
	[T_JXL] = { "image/jxl", WR_TYPE_IMAGE }, [T_JP2] = { "image/jp2", WR_TYPE_IMAGE },
	[T_HEIC] = { "image/heic", WR_TYPE_IMAGE }, [T_AVIF] = { "image/avif", WR_TYPE_IMAGE },
	[T_ICO] = { "image/x-icon", WR_TYPE_IMAGE }, [T_PSD] = { "image/vnd.adobe.photoshop", WR_TYPE_IMAGE },
	[T_MP4] = { "video/mp4", WR_TYPE_VIDEO }, [T_MOV] = { "video/quicktime", WR_TYPE_VIDEO },
	[T_3GP] = { "video/3gpp", WR_TYPE_VIDEO }, [T_M4A] = { "audio/mp4", WR_TYPE_VIDEO },
	[T_MKV] = { "video/x-matroska", WR_TYPE_VIDEO }, [T_WEBM] = { "video/webm", WR_TYPE_VIDEO },
	[T_FLV] = { "video/x-flv", WR_TYPE_VIDEO }, [T_MPEGTS] = { "video/mp2t", WR_TYPE_VIDEO },
	[T_MPEG] = { "video/mpeg", WR_TYPE_VIDEO }, [T_OGG] = { "application/ogg", WR_TYPE_VIDEO },
	[T_WAV] = { "audio/wav", WR_TYPE_VIDEO }, [T_AVI] = { "video/x-msvideo", WR_TYPE_VIDEO },
	[T_MP3] = { "audio/mpeg", WR_TYPE_VIDEO }, [T_FLAC] = { "audio/flac", WR_TYPE_VIDEO },
	[T_PDF] = { "application/pdf", WR_TYPE_DOCUMENT }, [T_RTF] = { "application/rtf", WR_TYPE_DOCUMENT },
	[T_OLE] = { "application/x-ole-storage", WR_TYPE_DOCUMENT },
	[T_ZIP] = { "application/zip", WR_TYPE_ARCHIVE }, [T_RAR] = { "application/vnd.rar", WR_TYPE_ARCHIVE },
	[T_7Z] = { "application/x-7z-compressed", WR_TYPE_ARCHIVE }, [T_GZIP] = { "application/gzip", WR_TYPE_ARCHIVE },
	[T_XZ] = { "application/x-xz", WR_TYPE_ARCHIVE }, [T_ZSTD] = { "application/zstd", WR_TYPE_ARCHIVE },
	[T_BZIP2] = { "application/x-bzip2", WR_TYPE_ARCHIVE }, [T_LZ4] = { "application/x-lz4", WR_TYPE_ARCHIVE },
	[T_TAR] = { "application/x-tar", WR_TYPE_ARCHIVE }, [T_CAB] = { "application/vnd.ms-cab-compressed", WR_TYPE_ARCHIVE },
	[T_PE] = { "application/x-msdownload", WR_TYPE_EXECUTABLE }, [T_ELF] = { "application/x-elf", WR_TYPE_EXECUTABLE },
	[T_MACHO] = { "application/x-mach-binary", WR_TYPE_EXECUTABLE }, [T_CLASS] = { "application/java-vm", WR_TYPE_EXECUTABLE },
	[T_WASM] = { "application/wasm", WR_TYPE_EXECUTABLE }, [T_DEX] = { "application/vnd.android.dex", WR_TYPE_EXECUTABLE },
	[T_SCRIPT] = { "text/x-shellscript", WR_TYPE_ACTIVE }, [T_HTML] = { "text/html", WR_TYPE_ACTIVE },
	[T_SVG] = { "image/svg+xml", WR_TYPE_ACTIVE }, [T_PHP] = { "application/x-httpd-php", WR_TYPE_ACTIVE },
	/* clang-format on */
};

/* Long enough at offset 0 to be believed at once; none is a prefix of another. */
static const struct {
	const char *magic;
	uint8_t n, type;
} strong[] = {
#define M(lit, t)                                                                                  \
	{                                                                                          \
		(lit), sizeof(lit) - 1, (t)                                                        \
	}
	/* clang-format off */
	M("\xff\xd8\xff", T_JPEG), M("\x89PNG\r\n\x1a\n", T_PNG), M("GIF87a", T_GIF), M("GIF89a", T_GIF),
	M("II*\0", T_TIFF), M("MM\0*", T_TIFF), M("II+\0", T_TIFF), M("8BPS\0\1", T_PSD),
	M("\0\0\0\x0cJXL \r\n\x87\n", T_JXL), M("\0\0\0\x0cjP  \r\n\x87\n", T_JP2),
	M("FLV\1", T_FLV), M("\0\0\1\xba", T_MPEG), M("OggS", T_OGG), M("fLaC", T_FLAC), M("ID3\2", T_MP3), M("ID3\3", T_MP3), M("ID3\4", T_MP3),
	M("%PDF-", T_PDF), M("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", T_OLE), M("{\\rtf", T_RTF),
	M("PK\3\4", T_ZIP), M("PK\5\6", T_ZIP), M("PK\7\x08", T_ZIP), M("Rar!\x1a\7\0", T_RAR), M("Rar!\x1a\7\1\0", T_RAR),
	M("7z\xbc\xaf\x27\x1c", T_7Z), M("\x1f\x8b\x08", T_GZIP), M("\xfd" "7zXZ\0", T_XZ), M("\x28\xb5\x2f\xfd", T_ZSTD),
	M("BZh", T_BZIP2), M("\x04\x22\x4d\x18", T_LZ4), M("MSCF\0\0\0\0", T_CAB),
	M("\x7f" "ELF", T_ELF), M("\xfe\xed\xfa\xce", T_MACHO), M("\xfe\xed\xfa\xcf", T_MACHO), M("\xce\xfa\xed\xfe", T_MACHO),
	M("\xcf\xfa\xed\xfe", T_MACHO), M("\0asm", T_WASM), M("dex\n", T_DEX),
/* clang-format on */
#undef M
};

static bool at(const uint8_t *p, uint32_t n, uint32_t off, const char *lit)
{
	uint32_t len = (uint32_t)strlen(lit);

	return off + len <= n && memcmp(p + off, lit, len) == 0;
}

/* RIFF, ISO media, EBML, MZ and CAFEBABE: the family shows at once, the member further in. -1: not
 * one; T_COUNT: more bytes are needed. */
static int family(const uint8_t *p, uint32_t n, bool all)
{
	static const struct {
		char brand[5];
		uint8_t type;
	} brands[] = { { "avif", T_AVIF }, { "avis", T_AVIF }, { "heic", T_HEIC },
		       { "heix", T_HEIC }, { "hevc", T_HEIC }, { "heim", T_HEIC },
		       { "heis", T_HEIC }, { "mif1", T_HEIC }, { "msf1", T_HEIC },
		       { "qt  ", T_MOV },  { "M4A ", T_M4A },  { "M4B ", T_M4A } };

	if (at(p, n, 0, "RIFF") || (!all && n < 4 && memcmp(p, "RIFF", n) == 0)) {
		if (n < 12)
			return all ? -1 : T_COUNT;
		return at(p, n, 8, "WEBP")   ? T_WEBP
		       : at(p, n, 8, "WAVE") ? T_WAV
		       : at(p, n, 8, "AVI ") ? T_AVI
		                             : -1;
	}
	if (at(p, n, 4, "ftyp")) {
		uint32_t end = wr_min_u32(wr_get_be32(p), 64);

		if (n < end)
			return all ? T_MP4 : T_COUNT;
		/* The major brand decides where it says something, else the compatible ones. */
		for (uint32_t off = 8; off + 4 <= end; off += off == 8 ? 8 : 4) {
			for (uint32_t i = 0; i < WR_COUNT_OF(brands); i++)
				if (memcmp(p + off, brands[i].brand, 4) == 0)
					return brands[i].type;
			if (off == 8 && memcmp(p + off, "3g", 2) == 0)
				return T_3GP;
			if (off == 8 &&
			    (memcmp(p + off, "mp4", 3) == 0 || memcmp(p + off, "iso", 3) == 0))
				return T_MP4;
		}
		return T_MP4;
	}
	if (at(p, n, 0, "\x1a\x45\xdf\xa3")) {
		if (n < 64 && !all)
			return T_COUNT;
		for (uint32_t i = 4; i + 4 <= wr_min_u32(n, 64); i++)
			if (at(p, n, i, "webm"))
				return T_WEBM;
		return T_MKV;
	}
	if (at(p, n, 0, "\xca\xfe\xba\xbe")) {
		if (n < 8)
			return all ? -1 : T_COUNT;
		/* The same four bytes: a fat binary counts its members here, a class states its
		 * version. */
		return wr_get_be32(p + 4) >= 45 ? T_CLASS : T_MACHO;
	}
	return -1;
}

/* Short or far magics, believed only with all the bytes there will be. */
static int weak(const uint8_t *p, uint32_t n)
{
	static const char *const mov[] = { "moov", "mdat", "free", "skip", "wide", "pnot" };

	if (at(p, n, 0, "MZ")) {
		uint32_t pe = n >= 64 ? wr_get_le32(p + 60) : 0;

		/* A stub whose header lies beyond our bytes is taken for what it says. */
		return n >= 64 && pe <= n - 4 && memcmp(p + pe, "PE\0\0", 4) != 0 ? -1 : T_PE;
	}
	if (at(p, n, 257, "ustar"))
		return T_TAR;
	if (at(p, n, 0, "BM") && n >= 18 && p[6] == 0 && p[7] == 0)
		return T_BMP;
	if (n >= 2 && p[0] == 0xff && p[1] == 0x0a)
		return T_JXL;
	if (n >= 6 && p[0] == 0 && p[1] == 0 && p[2] == 1 && p[3] == 0 && p[4] != 0 && p[5] == 0)
		return T_ICO;
	if (n > 376 && p[0] == 0x47 && p[188] == 0x47 && p[376] == 0x47)
		return T_MPEGTS;
	if (n > 388 && p[4] == 0x47 && p[196] == 0x47 && p[388] == 0x47)
		return T_MPEGTS;
	if (n >= 2 && p[0] == 0xff && (p[1] & 0xe6) == 0xe2 && p[1] != 0xff)
		return T_MP3;
	if (n >= 4 && (p[0] & 0xf0) == 0x50 && memcmp(p + 1, "\x2a\x4d\x18", 3) == 0)
		return T_ZSTD;
	for (uint32_t i = 0; i < WR_COUNT_OF(mov); i++)
		if (at(p, n, 4, mov[i]))
			return T_MOV;
	return -1;
}

/* ---------------------------------------------------------------------------------------- text ---
 */

static bool word(const uint8_t *p, uint32_t n, const char *w)
{
	uint32_t i = 0;

	for (; w[i] != '\0'; i++)
		if (i >= n || wr_lower((char)p[i]) != w[i])
			return false;
	return true;
}

/* Behind white space, comments and declarations: the first tag. */
static int markup(const uint8_t *p, uint32_t n)
{
	static const char *const html[] = { "<html",  "<head",  "<body", "<script", "<iframe",
		                            "<title", "<table", "<div",  "<h1",     "<br",
		                            "<style", "<font",  "<img",  "<p>",     "<a ",
		                            "<form",  "<meta",  "<link", "<b>" };
	bool xml = false;
	uint32_t i = 0;

	while (i < n) {
		if (p[i] == ' ' || (p[i] >= '\t' && p[i] <= '\r')) {
			i++;
		} else if (word(p + i, n - i, "<!--")) {
			for (i += 4; i < n && !word(p + i, n - i, "-->");)
				i++;
			i += 3;
		} else if (word(p + i, n - i, "<!doctype html")) {
			return T_HTML;
		} else if (word(p + i, n - i, "<!doctype svg")) {
			return T_SVG;
		} else if (word(p + i, n - i, "<?php") || word(p + i, n - i, "<?=")) {
			return T_PHP;
		} else if (word(p + i, n - i, "<?xml") || word(p + i, n - i, "<!doctype")) {
			xml = true;
			while (i < n && p[i] != '>')
				i++;
			i++;
		} else {
			break;
		}
	}
	if (i >= n || p[i] != '<')
		return xml ? T_XML : -1;
	for (uint32_t k = 0; k < WR_COUNT_OF(html); k++)
		if (word(p + i, n - i, html[k]))
			return T_HTML;
	if (word(p + i, n - i, "<svg"))
		return T_SVG;
	/* <prefix:svg */
	for (uint32_t k = i + 1; k < n && k < i + 32 && p[k] != ' ' && p[k] != '>'; k++)
		if (p[k] == ':')
			return word(p + k + 1, n - k - 1, "svg") ? T_SVG : T_XML;
	return xml ? T_XML : -1;
}

static int text(const uint8_t *p, uint32_t n)
{
	uint32_t bom = at(p, n, 0, "\xef\xbb\xbf") ? 3 : 0;
	int t;

	if (at(p, n, bom, "#!"))
		return T_SCRIPT;
	t = markup(p + bom, n - bom);
	if (t >= 0)
		return t;
	/* WHATWG: a byte that no text has makes it binary. UTF-16 has NULs but says so. */
	if (n >= 2 && ((p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff)))
		return T_TEXT;
	for (uint32_t i = 0; i < n; i++)
		if (p[i] < 0x20 && !(p[i] >= '\t' && p[i] <= '\r') && p[i] != 0x1b)
			return T_OCTETS;
	return n > 0 ? T_TEXT : T_OCTETS;
}

const struct wr_type *wr_sniff(const uint8_t *p, uint32_t n, bool ended)
{
	bool all = ended || n >= WR_SNIFF_BYTES;
	int t;

	n = wr_min_u32(n, WR_SNIFF_BYTES);
	for (uint32_t i = 0; i < WR_COUNT_OF(strong); i++)
		if (strong[i].n <= n && memcmp(p, strong[i].magic, strong[i].n) == 0)
			return &types[strong[i].type];
	t = n >= 4 || all ? family(p, n, all) : T_COUNT;
	if (t == T_COUNT)
		return NULL;
	if (t >= 0)
		return &types[t];
	if (!all)
		return NULL;
	t = weak(p, n);
	if (t < 0)
		t = text(p, n);
	/* Readers accept %PDF- anywhere in the first kilobyte. */
	if (t <= T_TEXT)
		for (uint32_t i = 1; i + 5 <= n; i++)
			if (at(p, n, i, "%PDF-"))
				return &types[T_PDF];
	return &types[t];
}

bool wr_sniff_polyglot(const struct wr_type *t, const uint8_t *p, uint32_t n)
{
	static const char *const token[] = { "<script", "<?php",     "<html",
		                             "<iframe", "<!doctype", "<svg" };

	n = wr_min_u32(n, WR_SNIFF_BYTES);
	if (t->cls != WR_TYPE_IMAGE && t->cls != WR_TYPE_VIDEO)
		return t->cls == WR_TYPE_ACTIVE && n > 5 && memmem(p, n, "%PDF-", 5) != NULL;
	/* GIF89a followed by comment or assignment: width and height are the characters. */
	if (t == &types[T_GIF] && n >= 8 && (memcmp(p + 6, "/*", 2) == 0 || p[6] == '='))
		return true;
	for (uint32_t i = 1; i < n; i++) {
		if (p[i] == '%' && at(p, n, i, "%PDF-"))
			return true;
		for (uint32_t k = 0; p[i] == '<' && k < WR_COUNT_OF(token); k++)
			if (word(p + i, n - i, token[k]))
				return true;
	}
	return false;
}

/* ------------------------------------------------------------------------------------ mismatch ---
 */

struct promise {
	enum wr_type_class cls; /* UNKNOWN: none */
	bool sure;              /* the type always has bytes that we know */
};

/* What a declared type promises. */
static struct promise promised(struct wr_str type)
{
	static const struct {
		const char *name;
		uint8_t cls, sure;
	} known[] = {
		/* clang-format off */
		{ "image/svg+xml", WR_TYPE_ACTIVE, 0 }, { "text/html", WR_TYPE_ACTIVE, 0 },
		{ "image/jpeg", WR_TYPE_IMAGE, 1 }, { "image/png", WR_TYPE_IMAGE, 1 }, { "image/gif", WR_TYPE_IMAGE, 1 },
		{ "image/webp", WR_TYPE_IMAGE, 1 }, { "image/bmp", WR_TYPE_IMAGE, 1 },
		{ "image/", WR_TYPE_IMAGE, 0 }, { "video/", WR_TYPE_VIDEO, 0 }, { "audio/", WR_TYPE_VIDEO, 0 },
		{ "application/pdf", WR_TYPE_DOCUMENT, 1 },
		{ "application/zip", WR_TYPE_ARCHIVE, 1 }, { "application/gzip", WR_TYPE_ARCHIVE, 1 },
		/* clang-format on */
	};

	for (uint32_t i = 0; i < WR_COUNT_OF(known); i++)
		if (wr_str_starts(type, (struct wr_str){ known[i].name,
		                                         (uint32_t)strlen(known[i].name) }))
			return (struct promise){ known[i].cls, known[i].sure };
	return (struct promise){ WR_TYPE_UNKNOWN, false };
}

static struct promise promised_by_name(struct wr_str name)
{
	static const struct {
		const char *ext;
		uint8_t cls;
	} known[] = {
		/* clang-format off */
		{ "jpg", WR_TYPE_IMAGE }, { "jpeg", WR_TYPE_IMAGE }, { "png", WR_TYPE_IMAGE }, { "gif", WR_TYPE_IMAGE },
		{ "webp", WR_TYPE_IMAGE }, { "bmp", WR_TYPE_IMAGE }, { "tif", WR_TYPE_IMAGE }, { "tiff", WR_TYPE_IMAGE },
		{ "heic", WR_TYPE_IMAGE }, { "avif", WR_TYPE_IMAGE }, { "jxl", WR_TYPE_IMAGE },
		{ "mp4", WR_TYPE_VIDEO }, { "mov", WR_TYPE_VIDEO }, { "webm", WR_TYPE_VIDEO }, { "mkv", WR_TYPE_VIDEO },
		{ "mp3", WR_TYPE_VIDEO }, { "pdf", WR_TYPE_DOCUMENT }, { "zip", WR_TYPE_ARCHIVE },
		/* clang-format on */
	};
	uint32_t dot = name.len;

	while (dot > 0 && name.p[dot - 1] != '.')
		dot--;
	for (uint32_t i = 0; dot > 0 && i < WR_COUNT_OF(known); i++)
		if (wr_str_is((struct wr_str){ name.p + dot, name.len - dot },
		              (struct wr_str){ known[i].ext, (uint32_t)strlen(known[i].ext) }))
			return (struct promise){ known[i].cls, known[i].cls != WR_TYPE_VIDEO };
	return (struct promise){ WR_TYPE_UNKNOWN, false };
}

static bool broken(struct promise p, enum wr_type_class is)
{
	if (p.cls == WR_TYPE_UNKNOWN || p.cls == is)
		return false;
	/* Without bytes that we know, or markup that begins in prose: not proven. */
	if (is == WR_TYPE_UNKNOWN || (is == WR_TYPE_TEXT && p.cls == WR_TYPE_ACTIVE))
		return p.sure;
	/* Stills and sequences share containers (HEIC, AVIF). */
	return !((p.cls == WR_TYPE_IMAGE || p.cls == WR_TYPE_VIDEO) &&
	         (is == WR_TYPE_IMAGE || is == WR_TYPE_VIDEO));
}

bool wr_type_mismatch(const struct wr_type *t, struct wr_str declared, struct wr_str filename)
{
	return broken(promised(declared), t->cls) || broken(promised_by_name(filename), t->cls);
}
