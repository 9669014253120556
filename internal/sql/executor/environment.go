// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/ast"
)

// environmentPrefix begins a runtime that is a custom runtime environment: cre@my_env.
const environmentPrefix = "cre@"

// environmentKind is CUSTOM RUNTIME ENVIRONMENT. An environment exists only when its image passed the checks, and keeps the
// digest that did.
func environmentKind() *kind {
	type spec = *catalog.RuntimeEnvironmentSpec
	path := textProperty("IMAGE_PATH", func(s spec) *string { return &s.Path }).atCreation()
	base := wordProperty("BASE_IMAGE_TYPE", "", func(s spec) *string { return &s.BaseType }, "CPU", "GPU").atCreation()
	return &kind{
		kind: catalog.KindRuntimeEnvironment, plural: "CUSTOM RUNTIME ENVIRONMENTS", plain: true, replace: true,
		properties: []property{path, base, statusProperty()},
		columns: []column{
			nameColumn(), specText("image_name", func(s spec) string { return s.Image }),
			specCell("tag", func(s spec) *string { return orNull(s.Tag) }), specText("digest", func(s spec) string { return s.Digest }),
			createdOn(), updatedOn(), owner(), specText("cre_status", func(s spec) string { return string(s.Status) }),
			specText("base_image_type", func(s spec) string { return s.BaseType }), specText("image", func(s spec) string { return s.Path }),
			textOf("image_status", imageStatus),
		},
		listedBy: []catalog.Privilege{catalog.Usage, catalog.Monitor},
		check:    checkEnvironment,
		prepare:  judgeEnvironment,
		created:  environmentCreated,
		dropping: environmentEnds,
	}
}

// statusProperty is CRE_STATUS of ALTER.
func statusProperty() property {
	return property{
		name: "CRE_STATUS", later: true,
		decode: func(_ context.Context, w *work, v ast.Value) (change, error) {
			word, err := w.wordValue("CRE_STATUS", v, []string{string(catalog.Resolved), string(catalog.Deprecated)})
			return func(o *catalog.Object) {
				o.Spec.(*catalog.RuntimeEnvironmentSpec).Status = catalog.EnvironmentStatus(word)
			}, err
		},
	}
}

func checkEnvironment(o *catalog.Object) error {
	s := o.Spec.(*catalog.RuntimeEnvironmentSpec)
	var missing []string
	if s.Path == "" {
		missing = append(missing, "IMAGE_PATH")
	}
	if s.BaseType == "" {
		missing = append(missing, "BASE_IMAGE_TYPE")
	}
	if len(missing) > 0 {
		return errs.New(errs.Invalid, "SQL compilation error:\nMissing option(s): [%s]; write IMAGE_PATH = '/db/schema/repository/image:tag' BASE_IMAGE_TYPE = CPU",
			strings.Join(missing, ", ")).Numbered(2029, "22023")
	}
	return nil
}

// judgeEnvironment finds and judges the image of a new environment. It may run the image and take minutes.
//
// Errors: those of ImageChecker; NotFound and Denied when the role may not read the repository, which then is all it learns.
func judgeEnvironment(ctx context.Context, w *work, o *catalog.Object) error {
	s := o.Spec.(*catalog.RuntimeEnvironmentSpec)
	ref, err := w.resolveImage(ctx, s.Path)
	if err != nil {
		return err
	}
	verdict, err := w.options.Images.Check(ctx, ref, s.BaseType)
	if err != nil {
		return err
	}
	o.Spec = &catalog.RuntimeEnvironmentSpec{
		Repository: ref.Repository.ID, Image: ref.Image, Tag: ref.Tag, Digest: ref.Digest, TagDigest: ref.TagDigest, Path: ref.Path,
		BaseType: s.BaseType, BaseImage: verdict.BaseImage, Python: verdict.Python, Status: catalog.Resolved,
	}
	w.report, w.policy = verdict.Report, verdict.Policy
	return nil
}

// environmentCreated makes sure that what was judged is still what the tag names, that the role may still read it, and that it was
// judged by the policy that holds now.
func environmentCreated(w *work, tx catalog.Tx, o *catalog.Object) error {
	s := o.Spec.(*catalog.RuntimeEnvironmentSpec)
	if _, err := readableRepository(tx, rbac.New(tx, w.who), s.Repository, s.Path); err != nil {
		return err
	}
	now, err := tagDigest(tx, s)
	if err != nil {
		return err
	}
	if now != s.TagDigest {
		return errs.New(errs.Conflict, "the image %s changed while it was checked (checked %s, now %s): run the statement again", s.Path, s.TagDigest, orGone(now))
	}
	if err := samePolicy(tx, w.policy); err != nil {
		return err
	}
	return tx.PutReport(o.ID, w.codec.pack.EncodeAll(w.report, nil))
}

// resolveImage finds what an image path names, for a role that may read the repository. When that has an upstream, the image is fetched.
//
// Errors: Invalid; NotFound; Denied; of an upstream Unavailable, Exhausted and Refused too.
func (w *work) resolveImage(ctx context.Context, path string) (ImageRef, error) {
	if name, ok := repositoryOf(path); ok { // before anything is fetched for somebody who may not
		err := w.view(ctx, func(_ catalog.Tx, g *rbac.Guard) error { return g.Check(toRead(name)) })
		if err != nil {
			return ImageRef{}, err
		}
	}
	ref, err := w.options.Images.Resolve(ctx, path)
	if err != nil && !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Refused) {
		return ref, err
	}
	return ref, w.view(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
		if err == nil {
			_, denied := readableRepository(tx, g, ref.Repository.ID, ref.Path)
			return denied
		}
		// What a repository holds is told to those only who may look into it.
		if name, ok := repositoryOf(path); ok {
			if denied := g.Check(toRead(name)); denied != nil {
				return denied
			}
		}
		return err
	})
}

// toRead is what pulling from a repository requires.
func toRead(name catalog.Name) []catalog.Requirement {
	return []catalog.Requirement{{Any: []catalog.Privilege{catalog.Read, catalog.Write}, Kind: catalog.KindImageRepository, Name: name}}
}

// repositoryOf gives the repository part of an image path as names are stored unless quoted.
func repositoryOf(path string) (catalog.Name, bool) {
	rest, absolute := strings.CutPrefix(path, "/")
	parts := strings.Split(rest, "/")
	if !absolute && (strings.ContainsAny(parts[0], ".:") || parts[0] == "localhost") {
		parts = parts[1:]
	}
	if len(parts) < 4 {
		return catalog.Name{}, false
	}
	up := strings.ToUpper
	return catalog.Name{Database: up(parts[0]), Schema: up(parts[1]), Object: up(parts[2])}, true
}

// readableRepository gives the repository of an image if the role may pull from it.
//
// Errors: Refused when it was dropped or replaced; NotFound; Denied.
func readableRepository(tx catalog.Tx, g *rbac.Guard, id catalog.ID, path string) (*catalog.Object, error) {
	o, err := tx.ObjectByID(id)
	if errs.Is(err, errs.NotFound) {
		return nil, errs.New(errs.Refused, "the image repository of %s was dropped or replaced: push the image again", path)
	}
	if err != nil {
		return nil, err
	}
	return o, g.Check(toRead(o.Name))
}

// tagDigest gives what the tag of an environment names now; "" when it is gone. By digest, it is the digest while the image is there.
func tagDigest(tx catalog.Tx, s *catalog.RuntimeEnvironmentSpec) (string, error) {
	if s.Tag == "" {
		m, err := tx.Manifest(s.Repository, s.Image, s.TagDigest)
		if errs.Is(err, errs.NotFound) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		return m.Digest, nil
	}
	tag, err := tx.Tag(s.Repository, s.Image, s.Tag)
	if errs.Is(err, errs.NotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return tag.Digest, nil
}

// imageStatus tells whether the tag of an environment still names what was registered: CURRENT, DRIFTED when it names something else, GONE.
// It is looked up each time, so it is true the moment that a tag moves.
func imageStatus(l *listing, o *catalog.Object) *string {
	s := o.Spec.(*catalog.RuntimeEnvironmentSpec)
	now, err := tagDigest(l.tx, s)
	if err != nil {
		l.fail(err)
	}
	switch now {
	case s.TagDigest:
		return textCell("CURRENT")
	case "":
		return textCell("GONE")
	}
	return textCell("DRIFTED")
}

func orGone(digest string) string {
	if digest == "" {
		return "gone"
	}
	return digest
}

// useEnvironment gives an environment for a new job or notebook. Every use goes through here: USAGE on the environment and READ on the
// repository, status RESOLVED, and a tag that has not moved.
//
// Errors: NotFound; Denied; Refused, with the next step.
func useEnvironment(tx catalog.Tx, g *rbac.Guard, name catalog.Name) (*catalog.Object, error) {
	err := g.Check([]catalog.Requirement{{Any: []catalog.Privilege{catalog.Usage}, Kind: catalog.KindRuntimeEnvironment, Name: name}})
	if err != nil {
		return nil, err
	}
	o, s, err := catalog.Get[*catalog.RuntimeEnvironmentSpec](tx, name)
	if err != nil {
		return nil, err
	}
	if _, err := readableRepository(tx, g, s.Repository, s.Path); err != nil {
		if errs.Is(err, errs.Refused) {
			return nil, errs.Wrap(err, errs.Refused, "custom runtime environment '%s' cannot be used", name)
		}
		return nil, err
	}
	if s.Status != catalog.Resolved {
		return nil, errs.New(errs.Refused, "custom runtime environment '%s' is deprecated: use another one, or ask the role %s that owns it to "+
			"ALTER CUSTOM RUNTIME ENVIRONMENT %s SET CRE_STATUS = RESOLVED", name, o.Owner, name)
	}
	now, err := tagDigest(tx, s)
	if err != nil {
		return nil, err
	}
	if now != s.TagDigest {
		return nil, errs.New(errs.Refused, "the image %s changed after the environment was registered (registered %s, now %s): recreate the "+
			"environment with CREATE OR REPLACE CUSTOM RUNTIME ENVIRONMENT %s IMAGE_PATH = '%s' BASE_IMAGE_TYPE = %s",
			s.Path, s.TagDigest, orGone(now), name, s.Path, s.BaseType)
	}
	return o, nil
}

// fitsPool tells whether the environment can run on instances of the family.
//
// Errors: Refused.
func fitsPool(o *catalog.Object, pool catalog.Name, f Family) error {
	s := o.Spec.(*catalog.RuntimeEnvironmentSpec)
	want := "CPU"
	if f.GPUs > 0 {
		want = "GPU"
	}
	if s.BaseType == want {
		return nil
	}
	return errs.New(errs.Refused, "custom runtime environment '%s' is for %s compute pools, but '%s' has the instance family %s: use another "+
		"compute pool, or an environment with BASE_IMAGE_TYPE = %s", o.Name, s.BaseType, pool, f.Name, want)
}
