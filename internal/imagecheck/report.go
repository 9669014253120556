// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"strings"
	"time"
	"unicode/utf8"

	"firn.dev/firn/internal/imagecheck/python"
)

// Schema names the JSON form of Report.
const Schema = "firn.validate/1"

// Status is the outcome of one check.
type Status string

// The outcomes.
const (
	Pass Status = "pass"
	Fail Status = "fail"
	Warn Status = "warn"
	Skip Status = "skip"
)

// Report is the verdict on one image. Its JSON form is schema firn.validate/1: unknown values are null, never left out, arrays are
// ordered.
type Report struct {
	Schema          string                `json:"schema"`
	FirnVersion     string                `json:"firn_version"`
	Result          string                `json:"result"`    // pass, fail, error
	ExitCode        int                   `json:"exit_code"` // 0, 1, 3
	ReadyFor        []string              `json:"ready_for"`
	Summary         Summary               `json:"summary"`
	Policy          PolicyInfo            `json:"policy"`
	Image           ImageInfo             `json:"image"`
	Checks          []CheckResult         `json:"checks"`
	Environments    []*python.Environment `json:"environments"`
	Vulnerabilities *Vulnerabilities      `json:"vulnerabilities"`
	Error           *ErrorInfo            `json:"error"`
	Timing          Timing                `json:"timing"`
}

// Summary counts the checks by status.
type Summary struct {
	Pass int `json:"pass"`
	Fail int `json:"fail"`
	Warn int `json:"warn"`
	Skip int `json:"skip"`
}

// PolicyInfo names the policy that was applied.
type PolicyInfo struct {
	Name   string `json:"name"`
	Source string `json:"source"`
	SHA256 string `json:"sha256"`
}

// ImageInfo describes the image that was read. Sizes are bytes.
type ImageInfo struct {
	Ref          string            `json:"ref"`
	Source       string            `json:"source"`
	Digest       *string           `json:"digest"`
	IndexDigest  *string           `json:"index_digest"`
	ConfigDigest *string           `json:"config_digest"`
	Platform     *string           `json:"platform"`
	Created      *time.Time        `json:"created"`
	Size         *int64            `json:"size"`
	UnpackedSize *int64            `json:"unpacked_size"`
	Entrypoint   []string          `json:"entrypoint"`
	Cmd          []string          `json:"cmd"`
	User         string            `json:"user"`
	WorkDir      string            `json:"workdir"`
	Labels       map[string]string `json:"labels"`
	Verified     bool              `json:"verified"`
	Layers       []LayerInfo       `json:"layers"`
	Base         *BaseInfo         `json:"base"`
}

// LayerInfo describes one layer, bottom up.
type LayerInfo struct {
	Index        int     `json:"index"`
	DiffID       string  `json:"diff_id"`
	Digest       *string `json:"digest"`
	MediaType    *string `json:"media_type"`
	Size         *int64  `json:"size"`
	UnpackedSize *int64  `json:"unpacked_size"`
	Owner        string  `json:"owner"` // base, user, unknown
	CreatedBy    *string `json:"created_by"`
	Cached       bool    `json:"cached"`
}

// BaseInfo is the approved base that fits best: Layers it has, Matched of them lead the image.
type BaseInfo struct {
	Ref     string `json:"ref"`
	Name    string `json:"name"`
	Layers  int    `json:"layers"`
	Matched int    `json:"matched"`
}

// CheckResult is the outcome of one check. Message names the object and the reason, Remedy what to write.
type CheckResult struct {
	ID       string     `json:"id"`
	Status   Status     `json:"status"`
	Message  string     `json:"message"`
	Evidence []Evidence `json:"evidence"`
	Remedy   string     `json:"remedy"`
}

// Evidence is one place in the image. Layer is a diffID, nil when no layer is to blame.
type Evidence struct {
	Layer  *string `json:"layer"`
	Path   *string `json:"path"`
	Detail string  `json:"detail"`
}

// Vulnerabilities is the outcome of matching installed packages with an advisory database. It is nil unless that was asked for.
type Vulnerabilities struct {
	DB struct {
		Built   time.Time `json:"built"`
		SHA256  string    `json:"sha256"`
		Records int       `json:"records"`
	} `json:"db"`
	Counts struct {
		Critical int `json:"critical"`
		High     int `json:"high"`
		Medium   int `json:"medium"`
		Low      int `json:"low"`
		Unknown  int `json:"unknown"`
	} `json:"counts"`
	Findings []Vulnerability `json:"findings"`
}

// Vulnerability is one advisory that fits one installed package. Severity is critical, high, medium, low or unknown.
type Vulnerability struct {
	ID        string   `json:"id"`
	Aliases   []string `json:"aliases"`
	Ecosystem string   `json:"ecosystem"`
	Name      string   `json:"name"`
	Version   string   `json:"version"`
	Severity  string   `json:"severity"`
	Score     *float64 `json:"score"`
	Fixed     []string `json:"fixed"`
	Path      string   `json:"path"`
	Layer     string   `json:"layer"`
	Owner     string   `json:"owner"`
}

// ErrorInfo says why an image cannot be judged. Kind is not_found, unauthorized, unreachable, ambiguous, corrupt, unsupported or
// limit.
type ErrorInfo struct {
	Kind    string  `json:"kind"`
	Message string  `json:"message"`
	Layer   *string `json:"layer"`
	Path    *string `json:"path"`
}

// Timing says what the check cost. It is not part of the verdict.
type Timing struct {
	WallMS       int64 `json:"wall_ms"`
	ReadBytes    int64 `json:"read_bytes"` // stored bytes of layers that were read
	LayersCached int   `json:"layers_cached"`
	LayersTotal  int   `json:"layers_total"`
}

// maxMessage bounds every message in a report, bytes.
const maxMessage = 4000

// Failed gives the checks with status fail, in order.
func (r *Report) Failed() []CheckResult { return r.with(Fail) }

// Warned gives the checks with status warn, in order.
func (r *Report) Warned() []CheckResult { return r.with(Warn) }

func (r *Report) with(s Status) []CheckResult {
	var list []CheckResult
	for _, c := range r.Checks {
		if c.Status == s {
			list = append(list, c)
		}
	}
	return list
}

// Passed tells whether the image may be used: it could be read and no check failed.
func (r *Report) Passed() bool { return r.Result == "pass" }

// PrimaryEnvironment gives the environment of the first python on PATH, nil when there is none.
func (r *Report) PrimaryEnvironment() *python.Environment {
	if len(r.Environments) > 0 && r.Environments[0].Primary {
		return r.Environments[0]
	}
	return nil
}

// finish counts, and derives the result from the checks.
func (r *Report) finish() {
	scripts, others := true, true
	for i := range r.Checks {
		c := &r.Checks[i]
		c.Message, c.Remedy = shorten(c.Message), shorten(c.Remedy)
		if c.Evidence == nil {
			c.Evidence = []Evidence{}
		}
		isScript := strings.HasPrefix(c.ID, "script_")
		switch c.Status {
		case Pass:
			r.Summary.Pass++
		case Warn:
			r.Summary.Warn++
		case Skip:
			r.Summary.Skip++
		case Fail:
			r.Summary.Fail++
			others = others && isScript
		}
		scripts = scripts && (!isScript || c.Status == Pass)
	}
	switch {
	case r.Error != nil:
		r.Error.Message = shorten(r.Error.Message)
		r.Result, r.ExitCode = "error", 3
		return
	case r.Summary.Fail > 0:
		r.Result, r.ExitCode = "fail", 1
	default:
		r.Result, r.ExitCode = "pass", 0
	}
	if others {
		r.ReadyFor = append(r.ReadyFor, "ML Jobs")
	}
	if others && scripts {
		r.ReadyFor = append(r.ReadyFor, "Notebooks")
	}
}

// shorten cuts a text to maxMessage bytes without breaking a character.
func shorten(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	const mark = " ..."
	cut := maxMessage - len(mark)
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + mark
}
