// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// What happens to images is written beside the audit trail, in the transaction of the change: INFORMATION_SCHEMA.IMAGE_EVENTS shows
// it to those who may read the repository.

// How often pulls are noted.
const (
	pullRest      = time.Minute // between two notes of the last pull of a manifest
	pullEventRest = time.Hour   // without pulls of a manifest, until the next one is an event
	eventAge      = 90 * 24 * time.Hour
)

// actionDrift is the action of the audit event of an environment whose tag has moved.
const actionDrift = "drift"

// moveTag lets a tag name a manifest that is there, tells what that did, and refuses to move an immutable one.
func moveTag(tx catalog.Tx, repository *catalog.Object, m *catalog.Manifest, name, user string) error {
	e := catalog.ImageEvent{Kind: catalog.ImagePushed, Repository: repository.ID, Image: m.Image, Tag: name, Digest: m.Digest, User: user}
	old, err := tx.Tag(repository.ID, m.Image, name)
	switch {
	case errs.Is(err, errs.NotFound):
	case err != nil:
		return err
	case old.Digest == m.Digest:
		return nil
	default:
		if err := immutable(repository, m.Image, name, "push over "+old.Digest); err != nil {
			return err
		}
		e.Kind, e.Previous = catalog.ImageTagMoved, old.Digest
	}
	tag := &catalog.Tag{Repository: repository.ID, Image: m.Image, Name: name, Digest: m.Digest, MovedBy: user}
	if err := tx.PutTag(tag); err != nil {
		return err
	}
	if err := tx.AddImageEvent(e); err != nil || old == nil {
		return err
	}
	return drifted(tx, old, m.Digest, user)
}

// dropTag deletes a tag and tells what that did.
func dropTag(tx catalog.Tx, tag *catalog.Tag, kind catalog.ImageEventKind, user string) error {
	if err := tx.DeleteTag(tag.Repository, tag.Image, tag.Name); err != nil {
		return err
	}
	err := tx.AddImageEvent(catalog.ImageEvent{
		Kind: kind, Repository: tag.Repository, Image: tag.Image, Tag: tag.Name, Previous: tag.Digest, User: user,
	})
	if err != nil {
		return err
	}
	return drifted(tx, tag, "", user)
}

// drifted tells of the environments that were registered with what a tag named until now. They keep their digest.
func drifted(tx catalog.Tx, old *catalog.Tag, now, user string) error {
	if old.Digest == now {
		return nil
	}
	for o, err := range tx.Objects(catalog.KindRuntimeEnvironment, catalog.Name{}) {
		if err != nil {
			return err
		}
		s := o.Spec.(*catalog.RuntimeEnvironmentSpec)
		if s.Repository != old.Repository || s.Image != old.Image || s.Tag != old.Name || s.TagDigest != old.Digest {
			continue
		}
		err := tx.AddImageEvent(catalog.ImageEvent{
			Kind: catalog.ImageDrifted, Repository: old.Repository, Image: old.Image, Tag: old.Name, Digest: now, Previous: old.Digest, User: user,
			Environment: o.Name.Object,
		})
		if err != nil {
			return err
		}
		became := "is gone"
		if now != "" {
			became = "names " + now
		}
		err = tx.AddEvent(catalog.Event{
			User: user, Action: actionDrift, Kind: catalog.KindRuntimeEnvironment, Object: o.Name.String(), Digest: s.Digest, Allowed: true,
			Detail: "the tag of " + s.Path + " " + became + ", the environment keeps what was registered",
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// purgeEvents removes the image events that are older than eventAge, and tells how many.
func (g *Registry) purgeEvents(ctx context.Context) (n int, err error) {
	err = g.Catalog.Update(ctx, func(tx catalog.Tx) (err error) {
		n, err = tx.PurgeImageEvents(tx.Now().Add(-eventAge))
		return err
	})
	return n, err
}

// notePull stores when a manifest was last pulled, at most once in pullRest.
func notePull(tx catalog.Tx, p catalog.ImagePull) error {
	last, err := tx.ImagePull(p.Repository, p.Image, p.Digest)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	p.Time = tx.Now()
	if p.Time.Sub(last.Time) < pullRest {
		return nil
	}
	if err := tx.PutImagePull(p); err != nil || p.Time.Sub(last.Time) < pullEventRest {
		return err
	}
	err = tx.AddImageEvent(catalog.ImageEvent{
		Kind: catalog.ImagePulled, Repository: p.Repository, Image: p.Image, Digest: p.Digest, User: p.User,
	})
	if errs.Is(err, errs.NotFound) {
		return nil // the repository was dropped meanwhile
	}
	return err
}
