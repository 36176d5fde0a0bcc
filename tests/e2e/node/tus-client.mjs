// SPDX-License-Identifier: BSD-3-Clause
// tus-client.mjs HOW URL FILE NAME [CHUNK]: one upload with tus-js-client.
//   whole     one PATCH for all bytes
//   chunks    PATCHes of CHUNK bytes
//   resume    the same, aborted in the midst of the second, then taken up by a new upload that asks for
//             the offset
// Prints {status, decision, url, requests: [[method, status], ...]}; status 0: no answer.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import tus from 'tus-js-client';

const [how, endpoint, file, filename, chunk] = process.argv.slice(2);
const requests = [];
const urlStorage = new tus.FileUrlStorage(path.join(os.homedir(), `tus-${process.pid}`));

function start(stopAt) {
	return new Promise((resolve) => {
		const upload = new tus.Upload(fs.createReadStream(file), {
			endpoint, urlStorage, metadata: { filename }, storeFingerprintForResuming: true,
			chunkSize: how === 'whole' ? Infinity : Number(chunk),
			onAfterResponse: (req, res) => { requests.push([req.getMethod(), res.getStatus()]); },
			onProgress: (sent) => {
				if (stopAt && sent >= stopAt) {
					stopAt = 0;
					upload.abort().then(() => resolve({ status: -1, url: upload.url }));
				}
			},
			onSuccess: () => resolve({ status: 200, decision: null, url: upload.url }),
			onError: (e) => resolve({ status: e.originalResponse?.getStatus() ?? 0, url: upload.url,
				decision: e.originalResponse?.getHeader('Weir-Decision-Id') ?? null,
				error: String(e).slice(0, 200) }),
		});
		upload.findPreviousUploads().then((before) => {
			if (before.length)
				upload.resumeFromPreviousUpload(before[0]);
			upload.start();
		});
	});
}

let said = await start(how === 'resume' ? Number(chunk) * 1.4 : 0);
if (said.status === -1)
	said = await start(0);
console.log(JSON.stringify({ ...said, requests }));
process.exit(0);
