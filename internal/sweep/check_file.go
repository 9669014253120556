// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// files compares the files of stages with their sums.
func (c *check) files(ctx context.Context) error {
	var stage catalog.ID
	for path := ""; ; {
		var rows []*catalog.File
		err := c.Catalog.View(ctx, func(tx catalog.Tx) (err error) {
			rows, err = gather(tx.FilesAfter(stage, path, page))
			return err
		})
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, f := range rows {
			if err := c.file(ctx, f); err != nil {
				return err
			}
			stage, path = f.Stage, f.Path
		}
	}
}

// file checks one file of a stage, unless it was replaced or deleted meanwhile.
func (c *check) file(ctx context.Context, f *catalog.File) error {
	problem, reason := Problem(""), ""
	content, err := c.Blobs.Open(ctx, f.Key, 0, -1)
	if errs.Is(err, errs.NotFound) {
		problem, reason = Lost, "the blob store has no object "+f.Key
	} else if err != nil {
		return err
	} else {
		defer content.Close()
		h := md5.New() //nolint:gosec // it tells damage, not malice
		n, err := c.hash(ctx, h, content)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if sum := hex.EncodeToString(h.Sum(nil)); err != nil || n != f.Size || sum != f.MD5 {
			problem, reason = Damaged, fmt.Sprintf("it has %d bytes with the MD5 sum %s, expected are %d with %s", n, sum, f.Size, f.MD5)
		}
	}
	if problem != "" {
		replaced, name, err := c.look(ctx, f)
		if err != nil || replaced {
			return err
		}
		finding := Finding{Problem: problem, What: "stage file " + name, Reason: reason}
		if problem == Damaged && c.o.Repair {
			if finding.Moved, err = c.move(ctx, f.Key); err != nil {
				return err
			}
		}
		c.found(finding)
	}
	c.report.Files++
	return nil
}

// look tells whether a file has other content now, and how it is called.
func (c *check) look(ctx context.Context, f *catalog.File) (replaced bool, name string, err error) {
	err = c.Catalog.View(ctx, func(tx catalog.Tx) error {
		now, err := tx.File(f.Stage, f.Path)
		if errs.Is(err, errs.NotFound) || err == nil && now.Key != f.Key {
			replaced = true
			return nil
		} else if err != nil {
			return err
		}
		stage, err := tx.ObjectByID(f.Stage)
		if err == nil {
			name = stage.Name.String() + "/" + f.Path
		}
		return err
	})
	return replaced, name, err
}
