// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"firn.dev/firn/internal/errs"
)

// connect makes the client, and what closes its idle connections. Nothing is sent.
func connect(o Options) (*minio.Core, func(), error) {
	u, err := endpoint(o.Endpoint)
	if err != nil {
		return nil, nil, err
	}
	keys := credentials.NewStaticV4(o.AccessKey, o.SecretKey.Reveal(), o.SessionToken.Reveal())
	if o.AccessKey == "" {
		keys = credentials.NewFileAWSCredentials(o.CredentialsFile, o.Profile)
		if v, err := keys.GetWithContext(nil); err != nil || v.AccessKeyID == "" {
			return nil, nil, errs.Wrap(err, errs.Invalid,
				"there are no credentials for bucket %s: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write profile %s to %s",
				o.Bucket, o.Profile, o.CredentialsFile)
		}
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return impatient{c, o.Idle}, nil
		},
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       30 * time.Second,
		DisableCompression:    true,
	}
	lookup := minio.BucketLookupPath
	if strings.HasSuffix(u.Hostname(), ".amazonaws.com") {
		lookup = minio.BucketLookupAuto
	}
	core, err := minio.NewCore(u.Host, &minio.Options{
		Creds: keys, Secure: u.Scheme == "https", Transport: asking{transport}, Region: o.Region, BucketLookup: lookup,
		MaxRetries: 1, // Store.retry does it: each attempt with a body of its own
	})
	if err != nil {
		return nil, nil, errs.Wrap(err, errs.Invalid, "the endpoint %s of bucket %s cannot be used", o.Endpoint, o.Bucket)
	}
	return core, transport.CloseIdleConnections, nil
}

// asking lets the server refuse a conditional write before its body is sent. Else the refusal may be lost, when the server closes
// the connection on which the body is still coming.
type asking struct{ http.RoundTripper }

func (a asking) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPut && (r.Header.Get("If-Match") != "" || r.Header.Get("If-None-Match") != "") {
		r = r.Clone(r.Context())
		r.Header.Set("Expect", "100-continue")
	}
	return a.RoundTripper.RoundTrip(r)
}

// impatient is a connection that fails when nothing moves for a while.
type impatient struct {
	net.Conn
	idle time.Duration
}

func (c impatient) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// Write puts off the deadline of a waiting Read too: the answer can only come when the request is written.
func (c impatient) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
