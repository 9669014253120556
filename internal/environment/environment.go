// SPDX-License-Identifier: Apache-2.0

// Package environment judges images for CREATE CUSTOM RUNTIME ENVIRONMENT: first imagecheck on the stored layers, which runs
// nothing, then the executed check, which runs the image by digest through its own entrypoint without network or privileges.
//
// It implements executor.ImageChecker over the registry and the job table; the executed check is an ordinary job of kind CHECK
// that the scheduler runs, so it needs no engine of its own. cmd/firnd makes it.
package environment

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	"firn.dev/firn/internal/sql/executor"
)

// Images opens what the registry holds.
type Images interface {
	// Resolve finds what a path names now.
	Resolve(ctx context.Context, path string) (executor.ImageRef, error)
	// Image opens an image in place.
	Image(ctx context.Context, repository catalog.ID, image, digest string) (v1.Image, error)
}

// Options is what a Checker needs. All fields but Advisories and Limit are required.
type Options struct {
	Catalog catalog.Store
	Images  Images
	Logs    executor.JobLogs
	Cache   *imagecheck.Cache
	Wake    func() // hint to the scheduler
	Version string
	// Advisories are looked up for what an image has installed; nil: no scan.
	Advisories *Advisories
	Limit      time.Duration // how long the executed check may run; 0: 4 minutes. It takes 6 seconds on a machine with nothing else to do.
	Now        func() time.Time
	Log        *slog.Logger
}

// Checker implements executor.ImageChecker. It is safe for concurrent use.
type Checker struct{ Options }

// New makes a checker.
func New(o Options) *Checker {
	if o.Limit == 0 {
		o.Limit = 4 * time.Minute
	}
	return &Checker{o}
}

var _ executor.ImageChecker = (*Checker)(nil)

// Resolve finds what a path names now.
func (c *Checker) Resolve(ctx context.Context, path string) (executor.ImageRef, error) {
	return c.Images.Resolve(ctx, path)
}

// Check judges an image. The executed check runs only when the static one found nothing, as an unfit image would fail it for
// reasons that are harder to read.
//
// Errors: Refused when the image is not fit; Unavailable when it cannot be run now; Canceled.
func (c *Checker) Check(ctx context.Context, ref executor.ImageRef, baseType string) (executor.ImageVerdict, error) {
	baseType = strings.ToUpper(baseType)
	policy, err := c.policyText(ctx)
	if err != nil {
		return executor.ImageVerdict{}, err
	}
	report, err := c.judge(ctx, ref, baseType, policy)
	if err != nil {
		return executor.ImageVerdict{}, err
	}
	if !report.Passed() {
		return executor.ImageVerdict{}, unfit(ref, report)
	}
	if err := c.execute(ctx, ref, report); err != nil {
		return executor.ImageVerdict{}, err
	}
	if !report.Passed() {
		return executor.ImageVerdict{}, unfit(ref, report)
	}
	text, err := json.Marshal(report)
	if err != nil {
		return executor.ImageVerdict{}, errs.Wrap(err, errs.Internal, "report of %s", ref.Path)
	}
	verdict := executor.ImageVerdict{Report: text, BaseType: baseType, Policy: policy}
	if b := report.Image.Base; b != nil {
		verdict.BaseImage = b.Ref
	}
	if e := report.PrimaryEnvironment(); e != nil {
		verdict.Python = e.PythonVersion
	}
	return verdict, nil
}

// unfit says why an image is refused: every failed check with its remedy.
func unfit(ref executor.ImageRef, report *imagecheck.Report) error {
	if report.Error != nil {
		return errs.New(errs.Refused, "image %s cannot be judged: %s", ref.Path, report.Error.Message)
	}
	failed := report.Failed()
	var text strings.Builder
	fmt.Fprintf(&text, "image %s is not fit for a custom runtime environment: %d of %d checks failed by policy %s (sha256 %.12s).",
		ref.Path, len(failed), len(report.Checks), report.Policy.Name, report.Policy.SHA256)
	for _, check := range failed {
		fmt.Fprintf(&text, "\n[FAIL] %s: %s", check.ID, check.Message)
		if check.Remedy != "" {
			fmt.Fprintf(&text, "\n       fix: %s", check.Remedy)
		}
	}
	text.WriteString("\nCorrect the Dockerfile, see the same checks with `firn validate --server URL`, push again, and repeat the statement.")
	return errs.New(errs.Refused, "%s", text.String())
}

// baseRepository is where approved bases are: every image in it is one.
const baseRepository = imagecheck.ApprovedBases

// bases lists the approved bases by their tags, with type and Python version from the labels that `firnd base build` writes.
func (c *Checker) bases(ctx context.Context) ([]imagecheck.Base, error) {
	var tags []*catalog.Tag
	var repository catalog.ID
	err := c.Catalog.View(ctx, func(tx catalog.Tx) error {
		o, err := tx.Object(catalog.KindImageRepository, catalog.Name{Database: "SNOWFLAKE", Schema: "IMAGES", Object: "SNOWFLAKE_IMAGES"})
		if err != nil {
			return err
		}
		repository = o.ID
		for tag, err := range tx.Tags(o.ID, "", "") {
			if err != nil {
				return err
			}
			tags = append(tags, tag)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []imagecheck.Base
	for _, tag := range tags {
		path := fmt.Sprintf("%s/%s:%s", baseRepository, tag.Image, tag.Name)
		base, err := c.base(ctx, repository, path)
		if errs.Is(err, errs.Refused) || errs.Is(err, errs.NotFound) {
			c.Log.Warn("an image among the bases is none", "image", path, "err", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, base)
	}
	return out, nil
}

func (c *Checker) base(ctx context.Context, repository catalog.ID, path string) (imagecheck.Base, error) {
	ref, err := c.Images.Resolve(ctx, path)
	if err != nil {
		return imagecheck.Base{}, err
	}
	img, err := c.Images.Image(ctx, repository, ref.Image, ref.Digest)
	if err != nil {
		return imagecheck.Base{}, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return imagecheck.Base{}, errs.Wrap(err, errs.Refused, "%s has no image configuration", path)
	}
	b := imagecheck.Base{
		Ref: path, Name: path, Type: config.Config.Labels["dev.firn.base.type"], Python: config.Config.Labels["dev.firn.base.python"],
	}
	for _, id := range config.RootFS.DiffIDs {
		b.Layers = append(b.Layers, id.String())
	}
	return b, nil
}

// longest is the longest report that is read.
const longest = 1 << 20

// lastLine reads a log, however long, and gives what follows the mark in the last line that begins with it.
func lastLine(r io.Reader, mark string) (string, error) {
	found := ""
	lines := bufio.NewReaderSize(r, longest)
	for {
		line, err := lines.ReadSlice('\n')
		if report, marked := strings.CutPrefix(string(line), mark); marked && err == nil {
			found = strings.TrimSuffix(report, "\n")
		}
		for errors.Is(err, bufio.ErrBufferFull) { // too long for a report
			_, err = lines.ReadSlice('\n')
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
	}
	if found == "" {
		return "", errors.New("the check printed no report")
	}
	return found, nil
}
