// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"bytes"
	"encoding/json"
	"path"
	"strings"
	"time"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck/layer"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	manifestMax = 4 << 20
	configMax   = 16 << 20
	depthMax    = 100
	layersMax   = 10_000
)

// imageConfig is the part of an image's configuration that checks read.
type imageConfig struct {
	Architecture string     `json:"architecture"`
	OS           string     `json:"os"`
	Variant      string     `json:"variant"`
	Created      *time.Time `json:"created"`
	Config       struct {
		User       string            `json:"User"`
		Env        []string          `json:"Env"`
		Entrypoint words             `json:"Entrypoint"`
		Cmd        words             `json:"Cmd"`
		WorkingDir string            `json:"WorkingDir"`
		Labels     map[string]string `json:"Labels"`
	} `json:"config"`
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
	History []struct {
		CreatedBy  string `json:"created_by"`
		EmptyLayer bool   `json:"empty_layer"`
	} `json:"history"`
}

// words is a list that old builders also wrote as one string, which engines take as a list of one.
type words []string

// UnmarshalJSON accepts a list, a string and null.
func (w *words) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		if *w = nil; one != "" {
			*w = words{one}
		}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(w))
}

// platform is "os/arch" or "os/arch/variant".
func (i imageConfig) platform() string {
	p := i.OS + "/" + i.Architecture
	if i.Variant != "" {
		p += "/" + i.Variant
	}
	return p
}

// env gives the environment; the last of equal names wins, as it does in a container.
func (i imageConfig) env() map[string]string {
	env := map[string]string{}
	for _, entry := range i.Config.Env {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	return env
}

// defaultPath is what engines set when the image has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// searchPath gives the directories of PATH.
func (i imageConfig) searchPath() []string {
	text, ok := i.env()["PATH"]
	if !ok {
		text = defaultPath
	}
	var dirs []string
	for dir := range strings.SplitSeq(text, ":") {
		if strings.HasPrefix(dir, "/") {
			dirs = append(dirs, path.Clean(dir))
		}
	}
	return dirs
}

func (i imageConfig) workDir() string {
	if i.Config.WorkingDir == "" {
		return "/"
	}
	return i.Config.WorkingDir
}

// readConfig reads and verifies the configuration, and what the manifest says of the layers.
//
// Errors: Corrupt, Exhausted.
func (c *checker) readConfig(img Image) error {
	raw, err := img.RawConfigFile()
	if err != nil {
		return foreign(err, "configuration of image %s", c.opts.Ref)
	}
	if len(raw) > configMax {
		return errs.New(errs.Exhausted, "configuration of image %s has %d bytes, at most %d are read", c.opts.Ref, len(raw), configMax)
	}
	if err := decodeJSON(raw, &c.config); err != nil {
		return errs.New(errs.Corrupt, "configuration of image %s does not decode: %v", c.opts.Ref, err)
	}
	for _, id := range c.config.RootFS.DiffIDs {
		if _, err := v1.NewHash(id); err != nil {
			return errs.New(errs.Corrupt, "configuration of image %s: %.100q is no diffID", c.opts.Ref, id)
		}
	}
	if n := len(c.config.RootFS.DiffIDs); n > layersMax {
		return errs.New(errs.Exhausted, "image %s has %d layers, at most %d are read", c.opts.Ref, n, layersMax)
	}
	c.describe(layer.DigestLike("", raw))
	if c.opts.NoDigest {
		return nil
	}
	return c.readManifest(img, raw)
}

// readManifest compares the manifest with its digest, with the configuration and with the number of layers.
func (c *checker) readManifest(img Image, config []byte) error {
	raw, err := img.RawManifest()
	if err != nil {
		return foreign(err, "manifest of image %s", c.opts.Ref)
	}
	if len(raw) > manifestMax {
		return errs.New(errs.Exhausted, "manifest of image %s has %d bytes, at most %d are read", c.opts.Ref, len(raw), manifestMax)
	}
	var m v1.Manifest
	if err := decodeJSON(raw, &m); err != nil {
		return errs.New(errs.Corrupt, "manifest of image %s does not decode: %v", c.opts.Ref, err)
	}
	digest, configDigest := layer.DigestLike(c.opts.Digest, raw), layer.DigestLike(m.Config.Digest.String(), config)
	info := &c.report.Image
	info.Digest = &digest
	switch {
	case c.opts.Digest != "" && c.opts.Digest != digest:
		return errs.New(errs.Corrupt, "manifest of image %s has digest %s, not %s", c.opts.Ref, digest, c.opts.Digest)
	case m.Config.Digest.String() != configDigest:
		return errs.New(errs.Corrupt, "configuration of image %s has digest %s, the manifest says %s", c.opts.Ref, configDigest, m.Config.Digest)
	case len(m.Layers) != len(info.Layers):
		return errs.New(errs.Corrupt, "manifest of image %s lists %d layers, the configuration %d", c.opts.Ref, len(m.Layers), len(info.Layers))
	}
	if c.opts.ConfigDigest == nil {
		info.ConfigDigest = &configDigest
	}
	total := int64(0)
	for i, l := range m.Layers {
		blob, media, size := l.Digest.String(), string(l.MediaType), l.Size
		info.Layers[i].Digest, info.Layers[i].MediaType, info.Layers[i].Size = &blob, &media, &size
		total += size
	}
	info.Size = &total
	return nil
}

// describe fills the part of the report that the configuration decides.
func (c *checker) describe(configDigest string) {
	info, conf := &c.report.Image, &c.config
	platform := conf.platform()
	info.ConfigDigest, info.Platform, info.Created = &configDigest, &platform, conf.Created
	if c.opts.ConfigDigest != nil {
		if info.ConfigDigest = c.opts.ConfigDigest; *info.ConfigDigest == "" {
			info.ConfigDigest = nil
		}
	}
	info.User, info.WorkDir = conf.Config.User, conf.workDir()
	info.Entrypoint = append(info.Entrypoint, conf.Config.Entrypoint...)
	info.Cmd = append(info.Cmd, conf.Config.Cmd...)
	if c.opts.IndexDigest != "" {
		info.IndexDigest = &c.opts.IndexDigest
	}
	if c.opts.Digest != "" {
		info.Digest = &c.opts.Digest
	}
	if conf.Config.Labels != nil {
		info.Labels = conf.Config.Labels
	}
	var commands []*string
	for i := range conf.History {
		if !conf.History[i].EmptyLayer {
			commands = append(commands, &conf.History[i].CreatedBy)
		}
	}
	for i, id := range conf.RootFS.DiffIDs {
		l := LayerInfo{Index: i, DiffID: id, Owner: "unknown"}
		if len(commands) == len(conf.RootFS.DiffIDs) {
			l.CreatedBy = commands[i]
		}
		info.Layers = append(info.Layers, l)
	}
}

// decodeJSON refuses nesting deeper than depthMax before it decodes.
func decodeJSON(raw []byte, into any) error {
	depth := 0
	d := json.NewDecoder(bytes.NewReader(raw))
	for {
		token, err := d.Token()
		if err != nil {
			break
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > depthMax {
				return errs.New(errs.Corrupt, "nested deeper than %d", depthMax)
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
	return json.Unmarshal(raw, into)
}

// foreign keeps an error that has a code and makes another one Corrupt.
func foreign(err error, format string, args ...any) error {
	if errs.CodeOf(err) != errs.Internal {
		return err
	}
	e := errs.New(errs.Corrupt, format, args...)
	return errs.New(errs.Corrupt, "%s cannot be read: %v", e.Message, err)
}

// The labels that `firnd base build` writes into base images.
const (
	labelBaseType   = "dev.firn.base.type"
	labelBasePython = "dev.firn.base.python"
)

// BaseOf describes an opened image as a base for others: its layers, and the type and Python version that its labels claim.
//
// Errors: Corrupt, or what the image gave.
func BaseOf(ref string, img Image) (Base, error) {
	raw, err := img.RawConfigFile()
	if err != nil {
		return Base{}, foreign(err, "configuration of base image %s", ref)
	}
	var conf imageConfig
	if err := decodeJSON(raw, &conf); err != nil {
		return Base{}, errs.New(errs.Corrupt, "configuration of base image %s does not decode: %v", ref, err)
	}
	labels := conf.Config.Labels
	return Base{Ref: ref, Name: ref, Type: strings.ToUpper(labels[labelBaseType]), Python: labels[labelBasePython], Layers: conf.RootFS.DiffIDs}, nil
}
