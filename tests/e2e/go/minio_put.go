// SPDX-License-Identifier: BSD-3-Clause

// minio_put uploads one file with minio-go, as Debian ships it: over plain HTTP it signs every chunk.
//
// usage: minio_put [-trailer] [-part BYTES] HOST:PORT ACCESS SECRET BUCKET KEY FILE
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

func main() {
	trailer := flag.Bool("trailer", false, "send a checksum in a signed trailer")
	part := flag.Uint64("part", 64<<20, "size of a part: larger files go in several requests")
	flag.Parse()
	a := flag.Args()
	if len(a) != 6 {
		flag.Usage()
		os.Exit(2)
	}
	c, err := minio.New(a[0], &minio.Options{
		Creds: credentials.NewStaticV4(a[1], a[2], ""), Region: "us-east-1",
		BucketLookup: minio.BucketLookupPath, TrailingHeaders: *trailer,
	})
	if err == nil {
		ctx, stop := context.WithTimeout(context.Background(), 60*time.Second)
		defer stop()
		_, err = c.FPutObject(ctx, a[3], a[4], a[5], minio.PutObjectOptions{PartSize: *part})
	}
	status, code := 200, ""
	if err != nil {
		e := minio.ToErrorResponse(err)
		status, code = e.StatusCode, e.Code
		fmt.Fprintln(os.Stderr, err)
	}
	_ = json.NewEncoder(os.Stdout).Encode([]interface{}{status, code})
}
