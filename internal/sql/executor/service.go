// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/rowset"
)

// serviceKind is SERVICE: the object behind a job. What runs is the job of the same id, so most columns come from there.
func serviceKind() *kind {
	columns := serviceColumns()
	spec := specText("spec", func(s *catalog.ServiceSpec) string { return s.YAML })
	described := append(append(append([]column{}, columns[:6]...), spec), columns[6:]...)
	return &kind{
		kind: catalog.KindService, plural: "SERVICES", columns: columns,
		listedBy: []catalog.Privilege{catalog.Usage, catalog.Monitor, catalog.Operate},
		describe: &description{
			columns: headers(described),
			rows: func(l *listing, o *catalog.Object) ([][]*string, error) {
				return [][]*string{row(l, described, o)}, nil
			},
		},
		check: func(*catalog.Object) error {
			return errs.New(errs.Unsupported, "SQL compilation error:\nUnsupported feature 'CREATE SERVICE': Firn runs jobs; use EXECUTE JOB SERVICE.").Numbered(2, "0A000")
		},
		dropping: serviceDropping,
	}
}

// serviceDropping ends the job. Its row stays, for the history.
func serviceDropping(w *work, tx catalog.Tx, o *catalog.Object) error {
	job, err := tx.Job(o.Spec.(*catalog.ServiceSpec).JobID)
	if err != nil {
		return err
	}
	if !job.State.Final() {
		if err := cancelJob(tx, job, "dropped by "+w.session.User); err != nil {
			return err
		}
		w.wakes = true
		if job, err = tx.Job(job.ID); err != nil {
			return err
		}
	}
	return tx.TransitionJob(job.ID, job.State, job.State, func(j *catalog.Job) { j.Deleted = tx.Now() })
}

// job gives the job of a service; an empty one after a failure.
func (l *listing) job(o *catalog.Object) *catalog.Job {
	id := o.Spec.(*catalog.ServiceSpec).JobID
	if l.ran == nil || l.ran.ID != id {
		job, err := l.tx.Job(id)
		if err != nil {
			l.fail(err)
			job = &catalog.Job{ID: id}
		}
		l.ran = job
	}
	return l.ran
}

// serviceColumns are the columns of SHOW SERVICES, in the order of the original.
func serviceColumns() []column {
	type spec = *catalog.ServiceSpec
	ofJob := func(name string, cell func(*catalog.Job) *string) column {
		return textOf(name, func(l *listing, o *catalog.Object) *string { return cell(l.job(o)) })
	}
	count := func(name string, value func(*catalog.Job) int) column {
		return numberOf(name, func(l *listing, o *catalog.Object) *string { return numberCell(value(l.job(o))) })
	}
	at := func(name string, when func(*catalog.Job) time.Time) column {
		return column{rowset.TimestampColumn(name), func(l *listing, o *catalog.Object) *string { return timeCell(when(l.job(o))) }}
	}
	nothing := func(*catalog.Job) time.Time { return time.Time{} }
	return []column{
		nameColumn(), ofJob("status", func(j *catalog.Job) *string { return textCell(string(j.State)) }),
		databaseName(), schemaName(), owner(), specText("compute_pool", func(s spec) string { return s.ComputePool }),
		null("dns_name"),
		count("current_instances", runningInstances), count("target_instances", targetInstances),
		count("min_ready_instances", func(*catalog.Job) int { return 1 }),
		specNumber("min_instances", func(s spec) int { return s.MinInstances }), specNumber("max_instances", func(s spec) int { return s.MaxInstances }),
		constant("auto_resume", "false"),
		specCell("external_access_integrations", func(s spec) *string {
			if len(s.Integrations) == 0 {
				return nil
			}
			return jsonCell(s.Integrations)
		}),
		createdOn(), at("updated_on", lastChange), at("resumed_on", nothing), at("suspended_on", nothing),
		count("auto_suspend_secs", func(*catalog.Job) int { return 0 }),
		comment(), ownerRoleType(), specCell("query_warehouse", func(s spec) *string { return orNull(s.QueryWarehouse) }),
		specCell("is_job", func(s spec) *string { return boolText(s.IsJob) }), specCell("is_async_job", func(s spec) *string { return boolText(s.IsAsync) }),
		specText("spec_digest", specDigest), constant("is_upgrading", "false"), null("managing_object_domain"), null("managing_object_name"),
	}
}

func specDigest(s *catalog.ServiceSpec) string {
	sum := sha256.Sum256([]byte(s.YAML))
	return hex.EncodeToString(sum[:])
}

// runningInstances counts the instances that run now.
func runningInstances(j *catalog.Job) int {
	n := 0
	for _, i := range j.Instances {
		if i.Status == "READY" {
			n++
		}
	}
	return n
}

func targetInstances(j *catalog.Job) int { return max(1, j.Replicas) }

// lastChange is when the job last changed its state.
func lastChange(j *catalog.Job) time.Time {
	last := j.Created
	for _, t := range []time.Time{j.Started, j.Completed} {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// instances gives the instances of a job, those that the scheduler has not met yet as waiting.
func instances(j *catalog.Job) []catalog.Instance {
	out := make([]catalog.Instance, targetInstances(j))
	for i := range out {
		out[i] = catalog.Instance{Index: i, Status: "PENDING"}
		if j.State.Final() && j.State != catalog.JobDone {
			out[i].Status = "FAILED"
		}
	}
	for _, i := range j.Instances {
		if i.Index >= 0 && i.Index < len(out) {
			out[i.Index] = i
		}
	}
	return out
}

// containerStatus is the status of an instance in the words for containers.
func containerStatus(i catalog.Instance) string {
	if i.Status == "SUCCEEDED" {
		return "DONE"
	}
	return i.Status
}

// isoTime is a time as SHOW SERVICE INSTANCES writes it, NULL when zero.
func isoTime(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return textCell(t.UTC().Format(time.RFC3339))
}

// containerOf is the name of the container of a service.
func containerOf(o *catalog.Object) string {
	doc, err := parseServiceDoc(o.Spec.(*catalog.ServiceSpec).YAML)
	if err != nil {
		return mainContainer
	}
	return doc.Spec.Containers[0].Name
}

// statusOf is SYSTEM$GET_SERVICE_STATUS: a JSON array with one entry per container.
func statusOf(j *catalog.Job, o *catalog.Object) string {
	type entry struct {
		Status        string `json:"status"`
		Message       string `json:"message"`
		ContainerName string `json:"containerName"`
		InstanceID    string `json:"instanceId"`
		ServiceName   string `json:"serviceName"`
		Image         string `json:"image"`
		RestartCount  int    `json:"restartCount"`
		StartTime     string `json:"startTime"`
	}
	entries := []entry{}
	for _, i := range instances(j) {
		e := entry{
			Status: containerStatus(i), Message: instanceMessage(j, i), ContainerName: containerOf(o), InstanceID: *numberCell(i.Index),
			ServiceName: j.Name, Image: j.Image,
		}
		if at := isoTime(i.Started); at != nil {
			e.StartTime = *at
		}
		entries = append(entries, e)
	}
	b, err := json.Marshal(entries)
	if err != nil { // texts and numbers only
		panic(err)
	}
	return string(b)
}

func instanceMessage(j *catalog.Job, i catalog.Instance) string {
	switch {
	case i.Status == "FAILED" && i.ExitCode != 0 && (i.Message == "" || i.Message == "exit"):
		return "Exited with code " + strconv.Itoa(i.ExitCode)
	case i.Message != "":
		return i.Message
	case i.Status == "READY":
		return "Running"
	case i.Status == "SUCCEEDED":
		return "Completed successfully"
	}
	return j.Message
}
