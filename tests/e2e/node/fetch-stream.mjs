// SPDX-License-Identifier: BSD-3-Clause
// fetch-stream.mjs URL FILE: PUT of a stream by node's fetch. Prints [status, decision id].
import fs from 'node:fs';
import { Readable } from 'node:stream';

const [url, file] = process.argv.slice(2);
const body = Readable.toWeb(fs.createReadStream(file));
const r = await fetch(url, { method: 'PUT', body, duplex: 'half' });
await r.text();
console.log(JSON.stringify([r.status, r.headers.get('weir-decision-id')]));
