// SPDX-License-Identifier: BSD-3-Clause
// busboy-server.mjs ADDRESS PORT FOLDER: forms as many applications take them. Each file part is stored,
// complete, the moment busboy has seen its end: FOLDER/NAME. What is on its way is FOLDER/tmp/NAME.
// GET /NAME gives FOLDER/www/NAME; whatever comes from another origin gets CORS headers.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import busboy from 'busboy';

const [address, port, folder] = process.argv.slice(2);
fs.mkdirSync(path.join(folder, 'tmp'), { recursive: true });
fs.mkdirSync(path.join(folder, 'www'), { recursive: true });

function file(stream, info) {
	const name = path.basename(info.filename ?? 'unnamed');
	const tmp = path.join(folder, 'tmp', name);
	const out = fs.openSync(tmp, 'w');
	let cut = false;
	stream.on('error', () => { cut = true; });
	stream.on('data', (data) => fs.writeSync(out, data));
	stream.on('end', () => {
		fs.closeSync(out);
		if (!cut && !stream.truncated)
			fs.renameSync(tmp, path.join(folder, name));
	});
	return name;
}

function form(req, res) {
	const fields = {};
	const files = [];
	const parser = busboy({ headers: req.headers });
	parser.on('field', (name, value) => { fields[name] = value; });
	parser.on('file', (_field, stream, info) => files.push(file(stream, info)));
	parser.on('error', () => res.destroy());
	parser.on('close', () => {
		res.writeHead(200, { 'content-type': 'application/json' });
		res.end(JSON.stringify({ fields, files }));
	});
	req.on('aborted', () => parser.destroy());
	req.pipe(parser);
}

http.createServer((req, res) => {
	res.on('error', () => {});
	if (req.headers.origin) {
		res.setHeader('access-control-allow-origin', req.headers.origin);
		res.setHeader('access-control-allow-credentials', 'true');
		res.setHeader('access-control-allow-methods', 'POST');
		res.setHeader('access-control-allow-headers', 'x-note');
	}
	if (req.method === 'POST')
		return form(req, res);
	const page = path.join(folder, 'www', path.basename(req.url));
	const found = req.method === 'GET' && fs.existsSync(page);
	res.writeHead(found ? 200 : req.method === 'OPTIONS' ? 204 : 404,
		{ 'content-type': req.url.endsWith('.html') ? 'text/html' : 'application/octet-stream' });
	return res.end(found ? fs.readFileSync(page) : undefined);
}).listen(Number(port), address, () => console.log('ready'));
