// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"net/url"
	"path"
	"strings"

	"github.com/minio/minio-go/v7/pkg/s3utils"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/errs"
)

// defaultRegion is what S3 means when nothing is said.
const defaultRegion = "us-east-1"

// ParseURL reads s3://BUCKET[/PREFIX][?endpoint=URL][&region=REGION], and takes what it does not say, and the credentials, from
// the environment variables that AWS tools read: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION, AWS_DEFAULT_REGION,
// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_SHARED_CREDENTIALS_FILE, AWS_PROFILE. Rand stays unset.
//
// Errors: Invalid; no message repeats what stands before an "@".
func ParseURL(text string, getenv func(string) string) (Options, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "s3" || u.Opaque != "" || u.Fragment != "" {
		return Options{}, errs.New(errs.Invalid, "blobs must have the form s3://BUCKET[/PREFIX][?endpoint=URL&region=REGION]")
	}
	if u.User != nil {
		return Options{}, errs.New(errs.Invalid, "the URL of a bucket holds no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	if err := s3utils.CheckValidBucketNameStrict(u.Host); err != nil {
		return Options{}, errs.Wrap(err, errs.Invalid, "'%s' is no name of a bucket", u.Host)
	}
	query := u.Query()
	for name, values := range query {
		if name != "endpoint" && name != "region" || len(values) != 1 {
			return Options{}, errs.New(errs.Invalid, "the URL of a bucket has the parameters endpoint and region, each once; '%s' is none or stands twice", name)
		}
	}
	o := Options{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/")}
	if o.Prefix != "" {
		if err := blob.CheckKey(o.Prefix); err != nil {
			return Options{}, errs.Wrap(err, errs.Invalid, "the prefix of a bucket must look like the key of a blob")
		}
	}
	o.Region = first(query.Get("region"), getenv("AWS_REGION"), getenv("AWS_DEFAULT_REGION"), defaultRegion)
	o.Endpoint = first(query.Get("endpoint"), getenv("AWS_ENDPOINT_URL_S3"), getenv("AWS_ENDPOINT_URL"), "https://s3."+o.Region+".amazonaws.com")
	o.AccessKey = getenv("AWS_ACCESS_KEY_ID")
	o.SecretKey = errs.Secret(getenv("AWS_SECRET_ACCESS_KEY"))
	o.SessionToken = errs.Secret(getenv("AWS_SESSION_TOKEN"))
	o.CredentialsFile = first(getenv("AWS_SHARED_CREDENTIALS_FILE"), path.Join(getenv("HOME"), ".aws", "credentials"))
	o.Profile = first(getenv("AWS_PROFILE"), "default")
	if (o.AccessKey == "") != (o.SecretKey == "") {
		return Options{}, errs.New(errs.Invalid, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together: set both or none")
	}
	_, err = endpoint(o.Endpoint)
	return o, err
}

// endpoint reads the URL of a server.
func endpoint(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errs.New(errs.Invalid, "the endpoint of a bucket is no URL: it must look like https://HOST[:PORT]")
	case u.User != nil:
		return nil, errs.New(errs.Invalid, "the endpoint of a bucket holds no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
		return nil, errs.New(errs.Invalid, "the endpoint '%s' of a bucket must look like https://HOST[:PORT]", u.Redacted())
	}
	return u, nil
}

// first gives the first text that is not empty.
func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
