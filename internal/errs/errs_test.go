// SPDX-License-Identifier: Apache-2.0

package errs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"testing"

	"firn.dev/firn/internal/errs"
)

func TestChain(t *testing.T) {
	t.Parallel()
	foreign := errors.New("ENOSPC at /private/path")
	disk := errs.Wrap(foreign, errs.Exhausted, "the disk is full")
	tests := []struct {
		name    string
		err     error
		code    errs.Code
		message string
		text    string
	}{
		{"nothing", nil, "", "internal error", ""},
		{"foreign", foreign, errs.Internal, "internal error", "ENOSPC at /private/path"},
		{"new", errs.New(errs.NotFound, "image %s", "a%sb"), errs.NotFound, "image a%sb", "image a%sb"},
		{"wrapped foreign", disk, errs.Exhausted, "the disk is full", "the disk is full: ENOSPC at /private/path"},
		{"wrapped twice", errs.Wrap(disk, errs.Refused, "push"), errs.Refused, "push: the disk is full", "push: the disk is full: ENOSPC at /private/path"},
		{"inside foreign", fmt.Errorf("while pushing: %w", disk), errs.Exhausted, "the disk is full", "while pushing: the disk is full: ENOSPC at /private/path"},
		{"foreign between", errs.Wrap(fmt.Errorf("at 10.0.0.1: %w", disk), errs.Refused, "push"), errs.Refused, "push: the disk is full",
			"push: at 10.0.0.1: the disk is full: ENOSPC at /private/path"},
		{"joined", errors.Join(foreign, disk), errs.Exhausted, "the disk is full", "ENOSPC at /private/path\nthe disk is full: ENOSPC at /private/path"},
		{"no cause", errs.Wrap(nil, errs.Invalid, "name"), errs.Invalid, "name", "name"},
	}
	for _, tt := range tests {
		if got := errs.CodeOf(tt.err); got != tt.code {
			t.Errorf("%s: code %q, want %q", tt.name, got, tt.code)
		}
		if got := errs.MessageOf(tt.err); got != tt.message {
			t.Errorf("%s: message %q, want %q", tt.name, got, tt.message)
		}
		if tt.err != nil && tt.err.Error() != tt.text {
			t.Errorf("%s: text %q, want %q", tt.name, tt.err, tt.text)
		}
		if tt.err != nil && (!errs.Is(tt.err, tt.code) || errs.Is(tt.err, errs.Timeout)) {
			t.Errorf("%s: Is is wrong", tt.name)
		}
	}
	if errs.Is(nil, "") {
		t.Error("no error has no code")
	}
	if err := errs.Wrap(fs.ErrNotExist, errs.NotFound, "file"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the cause is lost")
	}
}

func TestNumbered(t *testing.T) {
	t.Parallel()
	err := error(errs.New(errs.NotFound, "table").Numbered(2003, "02000"))
	e, ok := errors.AsType[*errs.Error](err)
	if !ok || e.Number != 2003 || e.State != "02000" || e.Code != errs.NotFound {
		t.Errorf("%+v", e)
	}
}

// However a secret is printed, it is not seen.
func TestSecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	const hidden = "correct horse"
	secret := errs.Secret(hidden)
	inside := struct {
		Password errs.Secret
		pointer  *errs.Secret
	}{secret, &secret}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb+" ", secret)
		fmt.Fprintf(&out, verb+" ", inside)
		fmt.Fprintf(&out, verb+" ", []errs.Secret{secret})
		fmt.Fprintf(&out, verb+" ", map[string]errs.Secret{"k": secret})
		fmt.Fprintf(&out, verb+"\n", errs.New(errs.Invalid, "password %s", secret))
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("login", "password", secret, "in", inside, "err", errs.Wrap(fmt.Errorf("with %v", secret), errs.Denied, "x"))
	}
	for _, v := range []any{secret, inside, map[string]any{"p": secret}} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		out.Write(text)
	}
	for _, form := range []string{hidden, fmt.Sprintf("%x", hidden), fmt.Sprintf("%X", hidden)} {
		if strings.Contains(out.String(), form) {
			t.Errorf("%q is seen in %s", form, out.String())
		}
	}
	if !strings.Contains(out.String(), "***") {
		t.Error("nothing tells that there was a secret")
	}
	if secret.Reveal() != hidden {
		t.Error("Reveal gives something else")
	}
	if got := fmt.Sprint(errs.Secret("")); got != "" {
		t.Errorf("no secret prints %q", got)
	}
	var back errs.Secret
	if err := json.Unmarshal([]byte(`"`+hidden+`"`), &back); err != nil || back != secret {
		t.Errorf("a secret is read as %q, %v", back.Reveal(), err)
	}
}
