// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/query"
	"firn.dev/firn/internal/sql/rowset"
)

// imageEvents is INFORMATION_SCHEMA.IMAGE_EVENTS: what happened to the images of the database that the role may pull, newest first.
func imageEvents() relation {
	columns := append([]rowset.Column{{Name: "EVENT_TIME", Type: rowset.TimestampLTZ, Scale: 6}}, textColumns(
		"EVENT_KIND REPOSITORY_CATALOG REPOSITORY_SCHEMA REPOSITORY_NAME IMAGE_NAME TAG DIGEST PREVIOUS_DIGEST USER_NAME ENVIRONMENT_NAME")...)
	return relation{
		columns: columns,
		rows: func(ctx context.Context, w *work, call query.TableCall) ([][]*string, error) {
			database, _, written := strings.Cut(call.Name, "."+rbac.InformationSchema+".")
			if !written {
				database = w.session.Database
			}
			return w.readers(ctx, func(l *listing) error { return l.imageEvents(database) })
		},
	}
}

// imageEvents adds the events of the repositories of a database that the role may pull from.
func (l *listing) imageEvents(database string) error {
	l.guard.Preload()
	names := map[catalog.ID]catalog.Name{}
	var ids []catalog.ID
	for o, err := range l.tx.Objects(catalog.KindImageRepository, catalog.Name{Object: database}) {
		if err != nil {
			return err
		}
		if l.guard.Holds(catalog.Read, o) || l.guard.Holds(catalog.Write, o) {
			names[o.ID] = o.Name
			ids = append(ids, o.ID)
		}
	}
	for e, err := range l.tx.ImageEvents(ids, l.limit) {
		if err != nil {
			return err
		}
		environment, err := l.knownEnvironment(e.Environment)
		if err != nil {
			return err
		}
		n := names[e.Repository]
		l.add(n.Object, func() []*string {
			return []*string{
				eventTimeCell(e.Time), textCell(string(e.Kind)), textCell(n.Database), textCell(n.Schema), textCell(n.Object), textCell(e.Image), orNull(e.Tag),
				orNull(e.Digest), orNull(e.Previous), orNull(e.User), environment,
			}
		})
	}
	return nil
}

// knownEnvironment gives the name of an environment if the role may know of it, NULL else.
func (l *listing) knownEnvironment(name string) (*string, error) {
	if name == "" {
		return nil, nil
	}
	o, err := l.tx.Object(catalog.KindRuntimeEnvironment, catalog.Name{Object: name})
	if errs.Is(err, errs.NotFound) || err == nil && !l.guard.Visible(o) {
		return nil, nil
	}
	return &name, err
}
