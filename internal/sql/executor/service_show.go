// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"fmt"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/rowset"
)

// serviceShows are the SHOW statements about services and what is inside them.
func serviceShows() map[string]show {
	return map[string]show{
		"SERVICES":           showServices(false),
		"JOB SERVICES":       showServices(true),
		"SERVICE INSTANCES":  showInstances(),
		"SERVICE CONTAINERS": showContainers(),
		"ENDPOINTS":          showEndpoints(),
		"ROLES IN SERVICE":   showServiceRoles(),
	}
}

// showServices is SHOW [JOB] SERVICES, also IN COMPUTE POOL and EXCLUDE JOBS.
func showServices(jobs bool) show {
	k := serviceKind()
	return show{
		level:   catalog.InSchema,
		columns: headers(k.columns),
		rows: func(l *listing, scope showScope) error {
			l.guard.Preload()
			for o, err := range l.tx.Objects(catalog.KindService, scope.in) {
				if err != nil {
					return err
				}
				spec := o.Spec.(*catalog.ServiceSpec)
				switch {
				case jobs && !spec.IsJob, scope.statement.Exclude == "JOBS" && spec.IsJob,
					scope.object != nil && spec.ComputePool != scope.object.Name.Object,
					!l.admits(o.Name.Object), !k.lists(l, o):
					continue
				}
				if !l.add(o.Name.Object, func() []*string { return row(l, k.columns, o) }) {
					break
				}
			}
			return nil
		},
	}
}

// textColumns makes text columns of names with blanks between them.
func textColumns(names string) []rowset.Column {
	var out []rowset.Column
	for _, n := range strings.Fields(names) {
		out = append(out, rowset.TextColumn(n))
	}
	return out
}

// inService makes a SHOW ... IN SERVICE.
func inService(columns []rowset.Column, rows func(l *listing, o *catalog.Object, j *catalog.Job) error) show {
	return show{
		columns: columns, scope: catalog.KindService,
		rows: func(l *listing, scope showScope) error { return rows(l, scope.object, l.job(scope.object)) },
	}
}

// showInstances is SHOW SERVICE INSTANCES IN SERVICE. Nodes of one job find each other by it.
func showInstances() show {
	columns := textColumns("database_name schema_name service_name service_status instance_id status spec_digest creation_time start_time ip_address")
	return inService(columns, func(l *listing, o *catalog.Object, j *catalog.Job) error {
		for _, i := range instances(j) {
			l.add(*numberCell(i.Index), func() []*string {
				return []*string{
					textCell(o.Name.Database), textCell(o.Name.Schema), textCell(o.Name.Object), textCell(string(j.State)), numberCell(i.Index),
					textCell(i.Status), textCell(specDigest(o.Spec.(*catalog.ServiceSpec))), isoTime(j.Created), isoTime(i.Started), orNull(i.IP),
				}
			})
		}
		return nil
	})
}

// showContainers is SHOW SERVICE CONTAINERS IN SERVICE.
func showContainers() show {
	columns := textColumns("database_name schema_name service_name service_status instance_id instance_status container_name status message " +
		"image_name image_digest restart_count start_time last_exit_code last_restart_time")
	columns[11] = rowset.NumberColumn("restart_count")
	return inService(columns, func(l *listing, o *catalog.Object, j *catalog.Job) error {
		container := containerOf(o)
		for _, i := range instances(j) {
			var exit *string
			if !i.Ended.IsZero() {
				exit = numberCell(i.ExitCode)
			}
			l.add(container, func() []*string {
				return []*string{
					textCell(o.Name.Database), textCell(o.Name.Schema), textCell(o.Name.Object), textCell(string(j.State)), numberCell(i.Index),
					textCell(i.Status), textCell(container), textCell(containerStatus(i)), textCell(instanceMessage(j, i)), textCell(j.Image),
					textCell(j.Digest), numberCell(0), isoTime(i.Started), exit, nil,
				}
			})
		}
		return nil
	})
}

// showEndpoints is SHOW ENDPOINTS IN SERVICE. The address of an endpoint that browsers can reach is filled in while the job runs.
func showEndpoints() show {
	columns := textColumns("name port port_range protocol is_public ingress_url")
	columns[1] = rowset.NumberColumn("port")
	return inService(columns, func(l *listing, o *catalog.Object, j *catalog.Job) error {
		doc, err := parseServiceDoc(o.Spec.(*catalog.ServiceSpec).YAML)
		if err != nil {
			return err
		}
		for _, e := range doc.Spec.Endpoints {
			var port *string
			if e.Port != 0 {
				port = numberCell(e.Port)
			}
			protocol := e.Protocol
			if protocol == "" {
				protocol = "HTTP"
			}
			l.add(e.Name, func() []*string {
				return []*string{
					textCell(e.Name), port, orNull(e.PortRange), textCell(protocol), boolText(e.Public), orNull(ingress(l, o, j, e)),
				}
			})
		}
		return nil
	})
}

// ingress is where the console shows an endpoint of a running job: host[:port]/services/<db>/<schema>/<name>/<endpoint>/.
func ingress(l *listing, o *catalog.Object, j *catalog.Job, e serviceEndpoint) string {
	if j.State != catalog.JobRunning || !e.Public && e.Name != rayDashboard {
		return ""
	}
	return fmt.Sprintf("%s/services/%s/%s/%s/%s/", l.w.options.Registry(), o.Name.Database, o.Name.Schema, o.Name.Object, e.Name)
}

// showServiceRoles is SHOW ROLES IN SERVICE.
func showServiceRoles() show {
	columns := append([]rowset.Column{rowset.TimestampColumn("created_on")}, textColumns("name comment")...)
	return inService(columns, func(l *listing, o *catalog.Object, _ *catalog.Job) error {
		l.add("ALL_ENDPOINTS_USAGE", func() []*string {
			return []*string{timeCell(o.Created), textCell("ALL_ENDPOINTS_USAGE"), nil}
		})
		return nil
	})
}

// shownAs is what a SHOW is called in showTable: its own name, but that of the roles of a service.
func shownAs(s *ast.Show) string {
	if s.What == "ROLES" && s.In != nil && s.In.Kind == catalog.KindService {
		return "ROLES IN SERVICE"
	}
	return s.What
}
