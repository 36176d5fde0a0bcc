// SPDX-License-Identifier: BSD-3-Clause
// tus-server.mjs ADDRESS PORT FOLDER: the tus project's own server, files in FOLDER. An upload that is
// complete gets a file NAME.done beside it, NAME as the client named it.
import fs from 'node:fs';
import path from 'node:path';
import { Server } from '@tus/server';
import { FileStore } from '@tus/file-store';

const [address, port, folder] = process.argv.slice(2);
fs.mkdirSync(folder, { recursive: true });
const server = new Server({
	path: '/files',
	datastore: new FileStore({ directory: folder }),
	async onUploadFinish(_req, upload) {
		const name = path.basename(String(upload.metadata?.filename ?? upload.id));
		fs.writeFileSync(path.join(folder, `${name}.done`), upload.id);
		return {};
	},
});
server.listen({ host: address, port: Number(port) }, () => console.log('ready'));
