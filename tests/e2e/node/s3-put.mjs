// SPDX-License-Identifier: BSD-3-Clause
// s3-put.mjs HOW URL ACCESS SECRET BUCKET KEY FILE: one upload with the AWS SDK for JavaScript.
//   buffer      PutObject of a Buffer            stream     PutObject of a stream, with a checksum trailer
//   gzip        PutObject of a stream that is gzip inside aws-chunked
//   upload      lib-storage's Upload of a stream, parts of 5 MiB, four at once
//   presigned   a presigned PUT, sent by fetch
// Prints [status, error code, decision id].
import fs from 'node:fs';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';

const [how, endpoint, accessKeyId, secretAccessKey, Bucket, Key, file] = process.argv.slice(2);
const client = new S3Client({ endpoint, forcePathStyle: true, region: 'us-east-1',
	credentials: { accessKeyId, secretAccessKey } });
const size = fs.statSync(file).size;

async function send() {
	const put = { Bucket, Key, ContentType: 'application/octet-stream' };
	if (how === 'buffer')
		return client.send(new PutObjectCommand({ ...put, Body: fs.readFileSync(file) }));
	if (how === 'stream' || how === 'gzip')
		return client.send(new PutObjectCommand({ ...put, Body: fs.createReadStream(file),
			ContentLength: size, ContentEncoding: how === 'gzip' ? 'gzip' : undefined }));
	if (how === 'upload')
		return new Upload({ client, queueSize: 4, partSize: 5 << 20,
			params: { ...put, Body: fs.createReadStream(file) } }).done();
	const url = await getSignedUrl(client, new PutObjectCommand({ Bucket, Key }), { expiresIn: 600 });
	const r = await fetch(url, { method: 'PUT', body: fs.readFileSync(file) });
	const code = /<Code>([^<]*)<\/Code>/.exec(await r.text())?.[1] ?? '';
	return { fetched: [r.status, code, r.headers.get('weir-decision-id')] };
}

try {
	const r = await send();
	console.log(JSON.stringify(r.fetched ?? [r.$metadata.httpStatusCode, '', null]));
} catch (e) {
	console.error(e);
	console.log(JSON.stringify([e.$metadata?.httpStatusCode ?? 0, e.Code ?? e.name,
		e.$response?.headers?.['weir-decision-id'] ?? null]));
}
