// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"firn.dev/firn/internal/errs"
)

// attempts is how often a request is sent at most. The waits between them sum up to about three seconds.
const (
	attempts  = 6
	firstWait = 100 * time.Millisecond
)

// retry sends a request until it succeeds, fails for good, or has failed often enough. A request may have been done although its
// answer was lost: what it does again must do no harm.
func (s *Store) retry(ctx context.Context, send func() error) error {
	for attempt := 1; ; attempt++ {
		err := send()
		if err == nil || attempt == attempts || !transient(err) || !wait(ctx, attempt) {
			return err
		}
	}
}

// wait lets time pass after a failed attempt, the more the higher its number. It is false when the context ends.
func wait(ctx context.Context, attempt int) bool {
	most := firstWait << (attempt - 1)
	select {
	case <-ctx.Done():
		return false
	case <-time.After(most/2 + rand.N(most/2)):
		return ctx.Err() == nil
	}
}

// The codes of errors by what they mean.
var (
	transientCodes = []string{
		"InternalError", "SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable", "RequestTimeout", "RequestTimedOut", "OperationAborted",
		"Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded", "ServerBusy", "ConditionalRequestConflict",
		// A server that keeps objects as files was removing the empty directory. No name of ours can be a directory.
		"ExistingObjectIsDirectory",
		// A copy of a part that was given up as lost is arriving just now.
		"InvalidPart",
		// What was sent arrived broken.
		"BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "ContentSHA256Mismatch",
	}
	fullCodes = []string{
		"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage", "NoSpaceLeft", "EntityTooLarge", "BucketQuotaExceeded",
	}
	credentialCodes = []string{
		"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired", "AllAccessDisabled", "Forbidden", "XAdminUserNotFound",
	}
)

// transient tells whether the same request may succeed later.
func transient(err error) bool {
	if r, ok := errors.AsType[minio.ErrorResponse](err); ok {
		return slices.Contains(transientCodes, r.Code) || r.StatusCode >= 500 && r.StatusCode != http.StatusNotImplemented && r.StatusCode != http.StatusInsufficientStorage ||
			r.StatusCode == http.StatusRequestTimeout || r.StatusCode == http.StatusTooManyRequests
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	return !untrusted && !errors.Is(err, context.Canceled)
}

// isMissing tells whether an object or an upload is absent.
func isMissing(err error) bool {
	r := minio.ToErrorResponse(err)
	return r.Code == "NoSuchKey" || r.Code == "NoSuchUpload" || r.StatusCode == http.StatusNotFound && r.Code != "NoSuchBucket"
}

// isPrecondition tells whether the object is not the one that the request named.
func isPrecondition(err error) bool {
	r := minio.ToErrorResponse(err)
	return r.Code == "PreconditionFailed" || r.StatusCode == http.StatusPreconditionFailed
}

// isRange tells whether the object ends before the range that was asked for.
func isRange(err error) bool {
	r := minio.ToErrorResponse(err)
	return r.Code == "InvalidRange" || r.StatusCode == http.StatusRequestedRangeNotSatisfiable
}

// failure says what a failed request means for the blob, or for the whole store when key is "". nil stays nil, and an Error stays
// as it is. Messages name endpoint, bucket and reason; credentials are in none, as requests carry them in headers only.
func (s *Store) failure(err error, key string) error {
	if err == nil {
		return nil
	}
	if own, ok := errors.AsType[*errs.Error](err); ok {
		return own
	}
	what := "bucket " + s.o.Bucket + " at " + s.o.Endpoint
	r, answered := errors.AsType[minio.ErrorResponse](err)
	switch {
	case errors.Is(err, context.Canceled):
		return errs.Wrap(err, errs.Canceled, "a request to %s was stopped", what)
	case errors.Is(err, context.DeadlineExceeded):
		return errs.Wrap(err, errs.Timeout, "%s does not answer in time", what)
	case !answered:
		return errs.Wrap(err, errs.Unavailable, "%s cannot be reached: %s", what, reason(err))
	case r.Code == "NoSuchBucket":
		return errs.Wrap(err, errs.Unavailable, "%s does not exist: make it, or correct the setting blobs", what)
	case isMissing(err) && key != "":
		return errs.Wrap(err, errs.NotFound, "blob %s does not exist", key)
	case r.Code == "InvalidPart" || r.Code == "InvalidPartOrder":
		return errs.Wrap(err, errs.Conflict, "unfinished blob %s was written by another request", key)
	case slices.Contains(fullCodes, r.Code) || r.StatusCode == http.StatusInsufficientStorage:
		return errs.Wrap(err, errs.Exhausted, "%s has no space left for blob %s (%s)", what, key, r.Code)
	case slices.Contains(credentialCodes, r.Code) || r.StatusCode == http.StatusForbidden || r.StatusCode == http.StatusUnauthorized:
		return errs.Wrap(err, errs.Unavailable, "%s refuses the credentials or does not allow them to read, write, list and delete (%s)", what, r.Code)
	default:
		return errs.Wrap(err, errs.Unavailable, "%s fails: %s (%s)", what, strings.TrimSpace(r.Message), r.Code)
	}
}

// reason gives the text of a failed connection without the request's URL.
func reason(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		if u.Timeout() {
			return "no answer in time"
		}
		if strings.HasPrefix(u.Err.Error(), "Connection closed by foreign host") {
			return "connection closed"
		}
		return u.Err.Error()
	}
	return err.Error()
}
