// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"firn.dev/firn/internal/errs"
)

// answered tells whether a failure is an answer of the upstream with an error status, or that there was no answer.
func answered(err error) bool {
	_, status := errors.AsType[*transport.Error](err)
	_, network := errors.AsType[*url.Error](err)
	return status || network
}

// failed says why something of the image was not read. The failure itself is not kept: its text may have a token or a signed URL.
func (i *Image) failed(what string, err error) error {
	if answer, ok := errors.AsType[*transport.Error](err); ok {
		switch status := answer.StatusCode; status {
		case http.StatusNotFound:
			return errs.New(errs.NotFound, "upstream registry %s has no %s of image %s: push it there first", i.host, what, i)
		case http.StatusUnauthorized, http.StatusForbidden:
			return errs.New(errs.Denied, "upstream registry %s refuses %s of image %s (status %d): the image does not exist there, or UPSTREAM_SECRET of the image "+
				"repository must have a login that may pull it", i.host, what, i, status)
		case http.StatusTooManyRequests:
			return errs.New(errs.Unavailable, "upstream registry %s has had too many requests (status 429) and does not give %s of image %s: wait, or set "+
				"UPSTREAM_SECRET of the image repository to a login with a higher limit", i.host, what, i)
		default:
			return errs.New(errs.Unavailable, "upstream registry %s answered %d %s for %s of image %s: try again, or ask who runs it", i.host, status,
				http.StatusText(status), what, i)
		}
	}
	return errs.New(errs.Unavailable, "upstream registry %s does not give %s of image %s: %s: try again, and see that the server reaches it", i.host, what, i, reason(err))
}

// told is a failure whose text may be told.
type told string

func (t told) Error() string { return string(t) }

// reason is what of a failure may be told: what the network says, not what the upstream answered.
func reason(err error) string {
	if network, ok := errors.AsType[*net.OpError](err); ok {
		return network.Error()
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return certificate.Error()
	}
	if own, ok := errors.AsType[told](err); ok {
		return own.Error()
	}
	timeout, _ := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, errSilent) || errors.Is(err, context.DeadlineExceeded) || timeout != nil && timeout.Timeout():
		return errSilent.Error()
	case errors.Is(err, context.Canceled):
		return "it was given up"
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return "the connection broke off"
	}
	return "its answer is malformed, or has another digest"
}
