// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"strconv"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/query"
	"firn.dev/firn/internal/sql/rowset"
)

func poolKind() *kind {
	const nodes = 1000
	const year = 366 * 24 * 3600
	spec := func(o *catalog.Object) *catalog.ComputePoolSpec { return o.Spec.(*catalog.ComputePoolSpec) }
	return &kind{
		kind: catalog.KindComputePool, plural: "COMPUTE POOLS", label: "Compute pool", comments: true,
		properties: []property{
			wordProperty("INSTANCE_FAMILY", "", func(s *catalog.ComputePoolSpec) *string { return &s.InstanceFamily }, familyNames()...).atCreation(),
			numberProperty("MIN_NODES", 1, nodes, 1, func(s *catalog.ComputePoolSpec) *int { return &s.MinNodes }).required(),
			numberProperty("MAX_NODES", 1, nodes, 1, func(s *catalog.ComputePoolSpec) *int { return &s.MaxNodes }).required(),
			boolProperty("AUTO_RESUME", true, func(s *catalog.ComputePoolSpec) *bool { return &s.AutoResume }),
			boolProperty("INITIALLY_SUSPENDED", false, func(s *catalog.ComputePoolSpec) *bool { return &s.Suspended }).atCreation(),
			numberProperty("AUTO_SUSPEND_SECS", 0, year, 3600, func(s *catalog.ComputePoolSpec) *int { return &s.AutoSuspendSecs }),
			ignoredProperty("PLACEMENT_GROUP"), ignoredProperty("FOR APPLICATION"), ignoredProperty("BACKUP_INSTANCE_FAMILIES"),
		},
		columns: poolColumns(),
		describe: &description{
			columns: append(headers(poolColumns()), rowset.TextColumn("error_code"), rowset.TextColumn("status_message")),
			rows: func(l *listing, o *catalog.Object) ([][]*string, error) {
				return [][]*string{append(row(l, poolColumns(), o), textCell(""), textCell(poolMessage(l.poolState(o))))}, nil
			},
		},
		check: func(o *catalog.Object) error {
			s := spec(o)
			for name, missing := range map[string]bool{
				"INSTANCE_FAMILY": s.InstanceFamily == "", "MIN_NODES": s.MinNodes == 0, "MAX_NODES": s.MaxNodes == 0,
			} {
				if missing {
					return errs.New(errs.Invalid, "SQL compilation error:\nMissing option(s): [%s]", name).Numbered(2029, "22023")
				}
			}
			if s.MinNodes > s.MaxNodes {
				return badValue("MIN_NODES", strconv.Itoa(s.MinNodes), "at most MAX_NODES, which is "+strconv.Itoa(s.MaxNodes))
			}
			return nil
		},
		dropping: func(_ *work, tx catalog.Tx, o *catalog.Object) error {
			if spec(o).System {
				return errs.New(errs.Refused, "compute pool '%s' belongs to Firn and cannot be dropped", o.Name)
			}
			jobs, err := collect(tx.FindJobs(catalog.JobFilter{Pool: o.Name.Object, States: unfinished()}))
			if err != nil {
				return err
			}
			if len(jobs) > 0 {
				return errs.New(errs.Refused, "Compute pool '%s' has %d unfinished jobs, the newest is %s: end them with ALTER COMPUTE POOL %s STOP ALL first",
					o.Name, len(jobs), catalog.Name{Database: jobs[0].Database, Schema: jobs[0].Schema, Object: jobs[0].Name}, o.Name)
			}
			return nil
		},
		actions: map[string]action{
			"SUSPEND": {run: func(_ *work, _ catalog.Tx, _ *rbac.Guard, o *catalog.Object) error {
				spec(o).Suspended = true
				return nil
			}},
			"RESUME":   {run: resumePool},
			"STOP ALL": {run: stopAll},
		},
	}
}

func poolColumns() []column {
	number := specNumber[*catalog.ComputePoolSpec]
	return []column{
		nameColumn(),
		textOf("state", func(l *listing, o *catalog.Object) *string { return textCell(l.poolState(o)) }),
		number("min_nodes", func(s *catalog.ComputePoolSpec) int { return s.MinNodes }),
		number("max_nodes", func(s *catalog.ComputePoolSpec) int { return s.MaxNodes }),
		specText("instance_family", func(s *catalog.ComputePoolSpec) string { return s.InstanceFamily }),
		numberOf("num_services", func(l *listing, o *catalog.Object) *string { return numberCell(l.pool(o).services) }),
		numberOf("num_jobs", func(l *listing, o *catalog.Object) *string { return numberCell(l.pool(o).jobs) }),
		number("auto_suspend_secs", func(s *catalog.ComputePoolSpec) int { return s.AutoSuspendSecs }),
		specCell("auto_resume", func(s *catalog.ComputePoolSpec) *string { return boolText(s.AutoResume) }),
		numberOf("active_nodes", func(l *listing, o *catalog.Object) *string { return numberCell(l.pool(o).active) }),
		numberOf("idle_nodes", func(l *listing, o *catalog.Object) *string { return numberCell(l.targetNodes(o) - l.pool(o).active) }),
		numberOf("target_nodes", func(l *listing, o *catalog.Object) *string { return numberCell(l.targetNodes(o)) }),
		createdOn(),
		{rowset.TimestampColumn("resumed_on"), func(_ *listing, o *catalog.Object) *string {
			return timeCell(o.Spec.(*catalog.ComputePoolSpec).Resumed)
		}},
		updatedOn(), owner(), comment(), constant("is_exclusive", "false"), null("application"), null("placement_group"),
		null("backup_instance_families"),
	}
}

// poolLoad is what runs on a pool.
type poolLoad struct{ services, jobs, active int }

// pool gives what runs on a pool. All pools are counted in one pass over the unfinished jobs.
func (l *listing) pool(o *catalog.Object) poolLoad {
	if l.pools == nil {
		l.pools = map[string]poolLoad{}
		for j, err := range l.tx.FindJobs(catalog.JobFilter{States: unfinished()}) {
			if err != nil {
				l.fail(err)
				break
			}
			load := l.pools[j.Pool]
			if j.Kind == "SERVICE" {
				load.services++
			} else {
				load.jobs++
			}
			if j.State != catalog.JobPending {
				load.active += max(j.Replicas, 1)
			}
			l.pools[j.Pool] = load
		}
	}
	return l.pools[o.Name.Object]
}

// targetNodes is the number of nodes that a pool wants now.
func (l *listing) targetNodes(o *catalog.Object) int {
	s := o.Spec.(*catalog.ComputePoolSpec)
	if s.Suspended {
		return l.pool(o).active
	}
	return max(s.MinNodes, l.pool(o).active)
}

func (l *listing) poolState(o *catalog.Object) string {
	switch {
	case l.pool(o).active > 0:
		return "ACTIVE"
	case o.Spec.(*catalog.ComputePoolSpec).Suspended:
		return "SUSPENDED"
	}
	return "IDLE"
}

func poolMessage(state string) string {
	return map[string]string{
		"ACTIVE": "Compute pool is active", "SUSPENDED": "Compute pool is suspended", "IDLE": "Compute pool is idle",
	}[state]
}

// unfinished lists the states of jobs that somebody still moves on.
func unfinished() []catalog.JobState {
	return []catalog.JobState{catalog.JobPending, catalog.JobRunning, catalog.JobCancelling}
}

func resumePool(_ *work, tx catalog.Tx, _ *rbac.Guard, o *catalog.Object) error {
	s := o.Spec.(*catalog.ComputePoolSpec)
	s.Suspended, s.Resumed = false, tx.Now()
	return nil
}

// stopAll cancels everything that runs on a pool.
func stopAll(w *work, tx catalog.Tx, _ *rbac.Guard, o *catalog.Object) error {
	jobs, err := collect(tx.FindJobs(catalog.JobFilter{Pool: o.Name.Object, States: unfinished()}))
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if err := cancelJob(tx, j, "compute pool was stopped by "+w.session.User); err != nil {
			return err
		}
	}
	w.wakes = true
	return nil
}

// cancelJob asks for the end of a job: at once when it waits, through the scheduler when it runs. A job that is ending or has
// ended stays as it is. The caller sets work.wakes.
func cancelJob(tx catalog.Tx, j *catalog.Job, reason string) error {
	next := map[catalog.JobState]catalog.JobState{
		catalog.JobPending: catalog.JobCancelled, catalog.JobRunning: catalog.JobCancelling,
	}[j.State]
	if next == "" {
		return nil
	}
	return tx.TransitionJob(j.ID, j.State, next, func(j *catalog.Job) { j.Message = reason })
}

// poolStatus is SYSTEM$GET_COMPUTE_POOL_STATUS(pool): JSON with status and message.
func poolStatus(ctx context.Context, w *work, args []query.Value) (query.Value, error) {
	name, err := w.nameArg(args, 0, catalog.KindComputePool)
	if err != nil {
		return query.Value{}, err
	}
	var out query.Value
	err = w.view(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
		o, err := g.Find(catalog.KindComputePool, name)
		if err != nil {
			return err
		}
		l := newListing(w, tx, g, nil)
		state := l.poolState(o)
		out = query.TextValue(*jsonCell(map[string]string{"status": state, "message": poolMessage(state)}))
		return l.err
	})
	return out, err
}
