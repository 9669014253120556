// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/query"
)

// labelPython is the label of a base image that says which Python it has, X.Y.
const labelPython = "dev.firn.base.python"

// runtimeOf is the image of container runtimes for instances of the family.
func runtimeOf(f Family) string {
	if f.GPUs > 0 {
		return "container_runtime/gpu_x86_64"
	}
	return "container_runtime/cpu_x86_64"
}

// mlJobRuntime is SYSTEM$GET_ML_JOB_RUNTIME(pool, selector): the runtime that a job on the pool would use. Clients take cre@name, and
// any text with a colon, for an answer.
func mlJobRuntime(ctx context.Context, w *work, args []query.Value) (query.Value, error) {
	pool, err := w.parseName(args[0].Text(), catalog.KindComputePool)
	if err != nil {
		return query.Value{}, err
	}
	family, err := w.poolFamily(ctx, pool)
	if err != nil {
		return query.Value{}, err
	}
	selector, python := "", ""
	if len(args) > 1 {
		selector, python = runtimeSelector(args[1].Text())
	}
	path, err := w.runtimePath(ctx, family, selector, python)
	if err != nil {
		return query.Value{}, err
	}
	if strings.Contains(path, "/") && isImagePath(path) {
		if _, err := w.resolveImage(ctx, path); err != nil {
			return query.Value{}, err
		}
	}
	return query.TextValue(path), nil
}

// runtimeSelector reads the second argument: a selector as the user wrote it, a Python version, nothing, or a JSON object with both.
func runtimeSelector(text string) (selector, python string) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "{") {
		return text, ""
	}
	o, err := decodeOptions("second", text)
	if err != nil {
		return text, "" // no selector either: the client says so
	}
	selector, python = o.text("RUNTIMEENVIRONMENT"), o.text("PYTHONVERSION")
	if o.err != nil {
		return text, ""
	}
	return selector, python
}

var (
	tagText     = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	pythonText  = regexp.MustCompile(`^3\.\d{1,2}$`)
	taggedImage = regexp.MustCompile(`^[^@\s]+/[^/@\s]+(:[A-Za-z0-9_][A-Za-z0-9._-]*)?(@sha(256|512):[0-9a-f]+)?$`)
)

// isImagePath tells whether a text is an image path with a tag or digest.
func isImagePath(text string) bool {
	last := text[strings.LastIndex(text, "/")+1:]
	return taggedImage.MatchString(text) && strings.Contains(last, ":")
}

// runtimePath turns a selector into what runs: cre@name and image paths are given back as they are, a tag or Python version becomes a
// path, nothing becomes the newest runtime. A text that is none of these is given back too: the client has its own words for it.
//
// Errors: NotFound, naming the tag or Python version and what there is.
func (w *work) runtimePath(ctx context.Context, f Family, selector, python string) (string, error) {
	switch {
	case selector == "":
		return w.newestRuntime(ctx, f, python)
	case !tagText.MatchString(selector):
		return selector, nil
	}
	all, err := w.runtimes(ctx, f)
	if err != nil {
		return "", err
	}
	for _, r := range all {
		if r.tag == selector {
			return r.path, nil
		}
	}
	if pythonText.MatchString(selector) {
		return w.newestRuntime(ctx, f, selector)
	}
	return "", errs.New(errs.NotFound, "runtime '%s' does not exist for the instance family %s; %s", selector, f.Name, available(all))
}

// runtime is one tag of the container runtimes.
type runtime struct {
	tag  string
	path string
}

func available(all []runtime) string {
	if len(all) == 0 {
		return "there is none yet: publish one with `firnd base build`, or name a custom runtime environment as cre@name"
	}
	var tags []string
	for _, r := range all {
		tags = append(tags, r.tag)
	}
	return "available: " + strings.Join(tags, ", ")
}

// runtimes lists the container runtimes for a family, newest first.
func (w *work) runtimes(ctx context.Context, f Family) ([]runtime, error) {
	var out []runtime
	err := w.view(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
		if err := g.Check(toRead(BaseRepository())); err != nil {
			return err
		}
		o, err := tx.Object(catalog.KindImageRepository, BaseRepository())
		if err != nil {
			return err
		}
		tags, err := collect(tx.Tags(o.ID, runtimeOf(f), ""))
		if err != nil {
			return err
		}
		slices.SortStableFunc(tags, func(a, b *catalog.Tag) int {
			if c := b.Moved.Compare(a.Moved); c != 0 {
				return c
			}
			return strings.Compare(b.Name, a.Name)
		})
		out = nil
		for _, t := range tags {
			out = append(out, runtime{t.Name, repositoryPath(o.Name) + "/" + t.Image + ":" + t.Name})
		}
		return nil
	})
	return out, err
}

// newestRuntime is the newest container runtime with a Python version; "" means any.
func (w *work) newestRuntime(ctx context.Context, f Family, python string) (string, error) {
	all, err := w.runtimes(ctx, f)
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", errs.New(errs.NotFound, "no container runtime exists for the instance family %s; %s", f.Name, available(all))
	}
	var others []string
	for _, r := range all {
		if python == "" {
			return r.path, nil
		}
		ref, err := w.options.Images.Resolve(ctx, r.path)
		if err != nil {
			return "", err
		}
		has := ref.Labels[labelPython]
		if has == python || has == "" {
			return r.path, nil
		}
		others = append(others, r.tag+" (Python "+has+")")
	}
	return "", errs.New(errs.NotFound, "no container runtime with Python %s exists for the instance family %s: functions run in the Python version that "+
		"pickled them. Available: %s; use that Python, or name a runtime_environment", python, f.Name, strings.Join(others, ", "))
}

// poolFamily gives the instance family of a pool that the role may use.
func (w *work) poolFamily(ctx context.Context, pool catalog.Name) (Family, error) {
	family := Family{}
	return family, w.view(ctx, func(tx catalog.Tx, g *rbac.Guard) (err error) {
		family, err = usableFamily(tx, g, pool)
		return err
	})
}

// usableFamily gives the instance family of a pool that the role may use.
func usableFamily(tx catalog.Tx, g *rbac.Guard, pool catalog.Name) (Family, error) {
	if err := g.Check(toUse(catalog.KindComputePool, pool)); err != nil {
		return Family{}, err
	}
	_, spec, err := catalog.Get[*catalog.ComputePoolSpec](tx, pool)
	if err != nil {
		return Family{}, err
	}
	f, known := FamilyOf(spec.InstanceFamily)
	if !known {
		return f, unknown("instance family", spec.InstanceFamily, familyNames())
	}
	return f, nil
}

// labeledRuntimes is SYSTEM$NOTEBOOKS_FIND_LABELED_RUNTIMES(), which clients before SYSTEM$GET_ML_JOB_RUNTIME asked: JSON with what is
// known of each container runtime, by tag.
func labeledRuntimes(ctx context.Context, w *work, _ []query.Value) (query.Value, error) {
	out := map[string]any{}
	for _, hardware := range []Family{{}, {GPUs: 1}} {
		all, err := w.runtimes(ctx, hardware)
		if err != nil {
			return query.Value{}, err
		}
		kind := "CPU"
		if hardware.GPUs > 0 {
			kind = "GPU"
		}
		for _, r := range all {
			ref, err := w.options.Images.Resolve(ctx, r.path)
			if err != nil {
				return query.Value{}, err
			}
			out[kind+" "+r.tag] = map[string]any{"spcsContainerRuntime": map[string]string{
				"pythonVersion": ref.Labels[labelPython], "hardwareType": kind, "runtimeContainerImage": r.path,
			}}
		}
	}
	return query.TextValue(*jsonCell(out)), nil
}
