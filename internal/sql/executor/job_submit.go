// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
)

// The kinds of jobs that statements submit.
const (
	kindMLJob      = "ML JOB"
	kindJobService = "JOB SERVICE"
)

// submission is a job on its way into the catalog: all names are canonical, the image is found, the size known.
type submission struct {
	kind         string
	name         catalog.Name
	pool         catalog.Name
	warehouse    string
	integrations []catalog.Name
	replicas     int
	min          int
	async        bool
	comment      string
	parameters   map[string]any

	doc   *serviceDoc
	image jobImage
	size  instanceSize
	note  string // what the user should know about the size
}

// jobImage is what a job runs.
type jobImage struct {
	shown       string       // as it was asked for; of an environment its path
	path        string       // /db/schema/repo/image:tag
	environment catalog.Name // when a custom runtime environment was asked for
	ref         ImageRef     // else
	digest      string
}

// poolSize gives what one instance of a pool gets on this installation, with a note when that is less than its family has.
//
// Errors: NotFound; Denied; Refused when the host has no GPU for the family; Unavailable.
func (w *work) poolSize(ctx context.Context, pool catalog.Name) (Family, instanceSize, string, error) {
	family, err := w.poolFamily(ctx, pool)
	if err != nil {
		return family, instanceSize{}, "", err
	}
	want := family.size()
	cpu, memory, gpus, err := w.options.Hosts.Clamp(ctx, want.cpu, want.memory, want.gpus)
	if err != nil {
		return family, instanceSize{}, "", err
	}
	if want.gpus > 0 && gpus == 0 {
		return family, instanceSize{}, "", errs.New(errs.Refused, "compute pool '%s' has the instance family %s with %d GPUs, and this host has no GPU: "+
			"use a pool with a CPU family", pool, family.Name, want.gpus)
	}
	size := instanceSize{cpu, memory, gpus}
	note := ""
	if size != want {
		note = fmt.Sprintf("an instance of %s has %s; this host gives %s", family.Name, want, size)
	}
	return family, size, note, nil
}

// String is the size for people: 4 CPU, 15 GiB.
func (s instanceSize) String() string {
	text := strconv.FormatFloat(s.cpu, 'g', 4, 64) + " CPU, " + strconv.FormatFloat(float64(s.memory)/gib, 'g', 4, 64) + " GiB"
	if s.gpus > 0 {
		text += ", " + strconv.Itoa(s.gpus) + " GPU"
	}
	return text
}

func toUse(kind catalog.Kind, name catalog.Name) []catalog.Requirement {
	return []catalog.Requirement{{Any: []catalog.Privilege{catalog.Usage}, Kind: kind, Name: name}}
}

// findImage gives the image that a selector of a job names: cre@environment or an image path.
//
// Errors: Invalid; NotFound; Denied; Refused.
func (w *work) findImage(ctx context.Context, selector string, pool catalog.Name, family Family) (jobImage, error) {
	text, ok := environmentOf(selector)
	if !ok {
		ref, err := w.resolveImage(ctx, selector)
		return jobImage{shown: selector, path: ref.Path, ref: ref, digest: ref.Digest}, err
	}
	name, err := w.parseName(text, catalog.KindRuntimeEnvironment)
	if err != nil {
		return jobImage{}, err
	}
	image := jobImage{environment: name}
	err = w.view(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
		s, err := w.environmentFor(tx, g, name, pool, family)
		if err == nil {
			image.shown, image.path, image.digest = s.Path, s.Path, s.Digest
		}
		return err
	})
	return image, err
}

// environmentOf gives the name behind cre@.
func environmentOf(selector string) (string, bool) {
	n := len(environmentPrefix)
	if len(selector) < n || !strings.EqualFold(selector[:n], environmentPrefix) {
		return "", false
	}
	return selector[n:], true
}

// environmentFor is useEnvironment for a job on a pool.
func (w *work) environmentFor(tx catalog.Tx, g *rbac.Guard, name, pool catalog.Name, f Family) (*catalog.RuntimeEnvironmentSpec, error) {
	o, err := useEnvironment(tx, g, name)
	if err != nil {
		return nil, err
	}
	return o.Spec.(*catalog.RuntimeEnvironmentSpec), fitsPool(o, pool, f)
}

// submit writes the job and its service object in one transaction, with all checks inside. A refusal is kept in the audit trail.
//
// Errors: NotFound; Denied; Refused; Exists; Unavailable.
func (w *work) submit(ctx context.Context, s submission) (*catalog.Job, error) {
	w.requires = append(w.requires,
		catalog.Requirement{Any: []catalog.Privilege{catalog.CreatePrivilege(catalog.KindService)}, Kind: catalog.KindSchema, Name: s.name.Parent()})
	w.requires = append(w.requires, toUse(catalog.KindComputePool, s.pool)...)
	var job *catalog.Job
	err := w.update(ctx, func(tx catalog.Tx, g *rbac.Guard) (err error) {
		job, err = w.writeJob(tx, g, s)
		return err
	})
	if err != nil {
		w.auditRefusal(ctx, s, err)
		return nil, err
	}
	w.wakes = true
	return job, nil
}

// auditRefusal notes who was refused what. The refusal stands even if that fails.
func (w *work) auditRefusal(ctx context.Context, s submission, cause error) {
	switch errs.CodeOf(cause) {
	case errs.NotFound, errs.Denied, errs.Refused:
	default:
		return
	}
	kind, object := catalog.KindImageRepository, s.image.path
	if s.image.environment.Object != "" {
		kind, object = catalog.KindRuntimeEnvironment, s.image.environment.String()
	}
	err := w.options.Catalog.Update(ctx, func(tx catalog.Tx) error {
		return tx.AddEvent(catalog.Event{
			User: w.session.User, Role: w.session.Role, Action: "refuse", Kind: kind, Object: object, Digest: s.image.digest,
			Statement: w.id, Detail: "job " + s.name.String() + ": " + errs.MessageOf(cause),
		})
	})
	if err != nil {
		w.options.Log.Warn("refusal is not in the audit trail", "statement", w.id, "error", err)
	}
}

// writeJob checks everything that a job names and adds its rows.
func (w *work) writeJob(tx catalog.Tx, g *rbac.Guard, s submission) (*catalog.Job, error) {
	if err := w.checkImage(tx, g, s); err != nil {
		return nil, err
	}
	if err := w.checkPool(tx, s); err != nil {
		return nil, err
	}
	integrations, err := checkIntegrations(tx, g, s.integrations)
	if err != nil {
		return nil, err
	}
	if s.warehouse != "" {
		if err := g.Check(toUse(catalog.KindWarehouse, catalog.Name{Object: s.warehouse})); err != nil {
			return nil, err
		}
	}
	plan, err := w.planOf(tx, g, s)
	if err != nil {
		return nil, err
	}
	text, err := s.doc.text()
	if err != nil {
		return nil, err
	}
	job := &catalog.Job{
		Kind: s.kind, Database: s.name.Database, Schema: s.name.Schema, Name: s.name.Object, Owner: g.Primary(), User: w.session.User,
		Pool: s.pool.Object, Query: w.id, Comment: s.comment, Environment: s.image.environment.Object, Image: s.image.path,
		Digest: s.image.digest, Plan: plan, Replicas: s.replicas, MinInstances: s.min, Parameters: s.parameters, State: catalog.JobPending,
		Message: s.note, Timeline: []catalog.Mark{{Phase: "submitted", At: tx.Now()}},
	}
	if err := tx.SubmitJob(job); err != nil {
		return nil, err
	}
	o := &catalog.Object{
		ID: job.ID, Kind: catalog.KindService, Name: s.name, Owner: job.Owner, Comment: s.comment,
		Spec: &catalog.ServiceSpec{
			JobID: job.ID, IsJob: true, IsAsync: s.async, ComputePool: s.pool.Object, QueryWarehouse: s.warehouse,
			Integrations: integrations, YAML: text, MinInstances: s.min, MaxInstances: s.replicas,
		},
	}
	if err := tx.CreateObject(o); err != nil {
		return nil, alreadyExists(err, o.Name)
	}
	return job, w.auditUse(tx, s, o)
}

// auditUse notes which image the job runs.
func (w *work) auditUse(tx catalog.Tx, s submission, o *catalog.Object) error {
	if err := w.audit(tx, "create", o, ""); err != nil {
		return err
	}
	e := catalog.Event{
		User: w.session.User, Role: w.session.Role, Action: "use", Kind: catalog.KindImageRepository, Object: s.image.path,
		Digest: s.image.digest, Statement: w.id, Allowed: true, Detail: "job " + s.name.String(),
	}
	if s.image.environment.Object != "" {
		e.Kind, e.Object = catalog.KindRuntimeEnvironment, s.image.environment.String()
	}
	return tx.AddEvent(e)
}

// checkImage repeats, in the transaction, what findImage saw.
func (w *work) checkImage(tx catalog.Tx, g *rbac.Guard, s submission) error {
	if s.image.environment.Object == "" {
		_, err := readableRepository(tx, g, s.image.ref.Repository.ID, s.image.path)
		if err != nil {
			return err
		}
		_, err = tx.Manifest(s.image.ref.Repository.ID, s.image.ref.Image, s.image.digest)
		if errs.Is(err, errs.NotFound) {
			return errs.New(errs.NotFound, "the image %s was deleted meanwhile", s.image.path)
		}
		return err
	}
	_, pool, err := catalog.Get[*catalog.ComputePoolSpec](tx, s.pool)
	if err != nil {
		return err
	}
	family, _ := FamilyOf(pool.InstanceFamily)
	now, err := w.environmentFor(tx, g, s.image.environment, s.pool, family)
	if err == nil && now.Digest != s.image.digest {
		err = errs.New(errs.Conflict, "custom runtime environment '%s' was replaced meanwhile: submit the job again", s.image.environment)
	}
	return err
}

// checkPool wakes a suspended pool that may wake by itself.
func (w *work) checkPool(tx catalog.Tx, s submission) error {
	o, spec, err := catalog.Get[*catalog.ComputePoolSpec](tx, s.pool)
	if err != nil {
		return err
	}
	if s.min > spec.MaxNodes {
		return errs.New(errs.Refused, "the job needs %d instances at once, and compute pool '%s' has at most %d nodes: lower MIN_INSTANCES or raise MAX_NODES",
			s.min, s.pool, spec.MaxNodes)
	}
	if !spec.Suspended {
		return nil
	}
	if !spec.AutoResume {
		return errs.New(errs.Refused, "compute pool '%s' is suspended and has AUTO_RESUME = FALSE: ALTER COMPUTE POOL %s RESUME first", s.pool, s.pool)
	}
	spec.Suspended, spec.Resumed = false, tx.Now()
	return tx.AlterObject(o)
}

// checkIntegrations gives the names of integrations that the role may use.
func checkIntegrations(tx catalog.Tx, g *rbac.Guard, names []catalog.Name) ([]string, error) {
	var out []string
	for _, name := range names {
		if err := g.Check(toUse(catalog.KindIntegration, name)); err != nil {
			return nil, err
		}
		_, spec, err := catalog.Get[*catalog.IntegrationSpec](tx, name)
		if err != nil {
			return nil, err
		}
		if !spec.Enabled {
			return nil, errs.New(errs.Refused, "external access integration '%s' is disabled: ALTER EXTERNAL ACCESS INTEGRATION %s SET ENABLED = TRUE", name, name)
		}
		out = append(out, name.Object)
	}
	return out, nil
}

// planOf resolves the stages and secrets of the specification.
func (w *work) planOf(tx catalog.Tx, g *rbac.Guard, s submission) (catalog.Plan, error) {
	c, err := s.doc.container()
	if err != nil {
		return catalog.Plan{}, err
	}
	mounts := []catalog.Mount{}
	for _, m := range s.doc.mountedStages(c) {
		place, err := w.mountable(tx, g, m.volume.stageText())
		if err != nil {
			return catalog.Plan{}, err
		}
		m.volume.setStage(place.reference())
		mounts = append(mounts, catalog.Mount{Stage: place.stage.ID, Path: strings.TrimSuffix(place.path, "/"), Target: m.target})
	}
	plan, err := s.doc.plan(c, s.size, mounts)
	if err != nil {
		return plan, err
	}
	for _, secret := range c.Secrets {
		value, err := w.secretText(tx, g, secret)
		if err != nil {
			return plan, err
		}
		plan.Env[secret.Env] = value
	}
	plan.Session = catalog.SessionDefaults{Database: s.name.Database, Schema: s.name.Schema, Warehouse: s.warehouse}
	return plan, nil
}

// mountable finds a stage directory that the role may read and write: what a container changes in it is written back.
func (w *work) mountable(tx catalog.Tx, g *rbac.Guard, text string) (stagePlace, error) {
	ref, err := w.stageRef(text)
	if err != nil {
		return stagePlace{}, err
	}
	if ref.Name != nil {
		for _, any := range [][]catalog.Privilege{{catalog.Read, catalog.Usage}, {catalog.Write}} {
			err := g.Check([]catalog.Requirement{{Any: any, Kind: catalog.KindStage, Name: ref.Name.Resolved}})
			if err != nil {
				return stagePlace{}, err
			}
		}
	}
	return w.placeOf(tx, g, ref)
}

// secretText gives the part of a secret that a container asks for.
//
// Errors: NotFound; Denied; Invalid for a part that the secret does not have.
func (w *work) secretText(tx catalog.Tx, g *rbac.Guard, s serviceSecret) (string, error) {
	name, err := w.parseName(string(s.Secret), catalog.KindSecret)
	if err != nil {
		return "", err
	}
	err = g.Check([]catalog.Requirement{{Any: []catalog.Privilege{catalog.Read, catalog.Usage}, Kind: catalog.KindSecret, Name: name}})
	if err != nil {
		return "", err
	}
	_, spec, err := catalog.Get[*catalog.SecretSpec](tx, name)
	if err != nil {
		return "", err
	}
	switch key := strings.ToLower(s.Key); {
	case spec.Type == "PASSWORD" && key == "username":
		return spec.Username, nil
	case spec.Type == "PASSWORD" && key == "password", spec.Type != "PASSWORD" && (key == "" || key == "secret_string"):
		return spec.Value, nil
	}
	allowed := "secret_string"
	if spec.Type == "PASSWORD" {
		allowed = "username or password"
	}
	return "", badSpec("secret '%s': invalid secretKeyRef '%s'; expected %s", name, s.Key, allowed)
}
