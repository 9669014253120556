// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// actionRetention is the action of the audit event of a tag that retention has deleted.
const actionRetention = "retention"

// maxRetired bounds the tags that one transaction deletes.
const maxRetired = 500

// RetireTags deletes the tags that the retention of their repositories does not keep, and tells how many. Kept are the newest ones
// (TAG_RETENTION_COUNT), the young ones (TAG_RETENTION_DAYS), immutable ones, and those through which something in use is
// named: by a custom runtime environment, or by a job that runs or ended lately. Several replicas may call it.
//
// Errors: Unavailable.
func (g *Registry) RetireTags(ctx context.Context) (int, error) {
	ruled, err := g.repositoriesWithRetention(ctx)
	total := 0
	for _, id := range ruled {
		for more := true; more; {
			n := 0
			retireErr := g.Catalog.Update(ctx, func(tx catalog.Tx) (err error) {
				n, err = retire(tx, id, maxRetired)
				return err
			})
			more = retireErr == nil && n == maxRetired
			if retireErr == nil {
				total += n
			}
			err = errors.Join(err, retireErr)
		}
	}
	return total, err
}

// repositoriesWithRetention gives the repositories in which retention has something to delete, so that a round that deletes nothing writes
// nothing.
func (g *Registry) repositoriesWithRetention(ctx context.Context) ([]catalog.ID, error) {
	var ruled []catalog.ID
	err := g.Catalog.View(ctx, func(tx catalog.Tx) error {
		ruled = nil
		for o, err := range tx.Objects(catalog.KindImageRepository, catalog.Name{}) {
			if err != nil {
				return err
			}
			retired, err := retirable(tx, o, 1)
			if err != nil {
				return err
			}
			if len(retired) > 0 {
				ruled = append(ruled, o.ID)
			}
		}
		return nil
	})
	return ruled, err
}

// retire deletes what the retention of a repository does not keep, at most limit tags, and tells how many those were.
func retire(tx catalog.Tx, id catalog.ID, limit int) (int, error) {
	repository, err := tx.ObjectByID(id)
	if errs.Is(err, errs.NotFound) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	retired, err := retirable(tx, repository, limit)
	if err != nil {
		return 0, err
	}
	rules := rulesOf(repository)
	for _, tag := range retired {
		if err := dropTag(tx, tag, catalog.ImageRetention, ""); err != nil {
			return 0, err
		}
		err := tx.AddEvent(catalog.Event{
			Action: actionRetention, Kind: catalog.KindImageRepository, Digest: tag.Digest, Allowed: true,
			Object: Path{Repository: repository.Name, Image: tag.Image, Tag: tag.Name}.String(),
			Detail: fmt.Sprintf("tag of %s, beyond TAG_RETENTION_COUNT = %d and TAG_RETENTION_DAYS = %d",
				tag.Moved.Format(time.DateOnly), rules.RetentionCount, rules.RetentionDays),
		})
		if err != nil {
			return 0, err
		}
	}
	return len(retired), nil
}

// retirable lists at most limit tags that the retention of a repository does not keep.
func retirable(tx catalog.Tx, repository *catalog.Object, limit int) ([]*catalog.Tag, error) {
	rules := rulesOf(repository)
	if rules.RetentionCount == 0 && rules.RetentionDays == 0 {
		return nil, nil
	}
	images := map[string][]*catalog.Tag{}
	for tag, err := range tx.Tags(repository.ID, "", "") {
		if err != nil {
			return nil, err
		}
		images[tag.Image] = append(images[tag.Image], tag)
	}
	var retired []*catalog.Tag
	for _, tags := range images {
		slices.SortStableFunc(tags, func(a, b *catalog.Tag) int { return b.Moved.Compare(a.Moved) })
		for i, tag := range tags {
			young := rules.RetentionDays > 0 && tx.Now().Sub(tag.Moved) < time.Duration(rules.RetentionDays)*24*time.Hour
			if young || i < rules.RetentionCount || matches(rules.ImmutableTags, tag.Name) {
				continue
			}
			used, err := inUse(tx, repository.ID, tag.Image, tag.Digest)
			if err != nil {
				return nil, err
			}
			if used {
				continue
			}
			if retired = append(retired, tag); len(retired) == limit {
				return retired, nil
			}
		}
	}
	return retired, nil
}

// inUse tells whether something holds a manifest or, of an index, what it leads to.
func inUse(tx catalog.Tx, repository catalog.ID, image, digest string) (bool, error) {
	next := []string{digest}
	for depth := 0; len(next) > 0 && depth <= maxNesting; depth++ {
		var children []string
		for _, digest := range next {
			holders, err := tx.ManifestHolders(repository, image, digest)
			if err != nil || len(holders) > 0 {
				return len(holders) > 0, err
			}
			m, err := tx.Manifest(repository, image, digest)
			if errs.Is(err, errs.NotFound) {
				continue // of an index from an upstream, nobody has asked for it
			} else if err != nil {
				return false, err
			}
			children = append(children, m.Children...)
		}
		next = children
	}
	return false, nil
}
