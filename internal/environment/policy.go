// SPDX-License-Identifier: Apache-2.0

package environment

import (
	"context"
	"encoding/json"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	"firn.dev/firn/internal/sql/executor"
)

// Policy reads the text of an account's policy.
func (c *Checker) Policy(text string) (executor.PolicyInfo, error) {
	p, err := imagecheck.AccountPolicy(text)
	return executor.PolicyInfo{Name: p.Name, SHA256: p.Sum()}, err
}

// Terms gives what images are judged by now.
func (c *Checker) Terms(ctx context.Context) ([]byte, error) {
	text, err := c.policyText(ctx)
	if err != nil {
		return nil, err
	}
	bases, err := c.bases(ctx)
	if err != nil {
		return nil, err
	}
	terms, err := imagecheck.NewTerms(c.Version, text, bases)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(terms)
	if err != nil {
		return nil, errs.Wrap(err, errs.Internal, "terms of the account")
	}
	return body, nil
}

// policyText gives the account's policy as ALTER ACCOUNT stored it, "" when none is set.
func (c *Checker) policyText(ctx context.Context) (string, error) {
	text := ""
	err := c.Catalog.View(ctx, func(tx catalog.Tx) error {
		o, err := tx.ObjectByID(catalog.AccountID)
		if err != nil {
			return err
		}
		text = o.Spec.(*catalog.AccountSpec).Parameters[catalog.PolicyParameter]
		return nil
	})
	return text, err
}

// judge makes the static check.
//
// Errors: Invalid for a policy that this Firn cannot read; those of imagecheck.Check.
func (c *Checker) judge(ctx context.Context, ref executor.ImageRef, baseType, policyText string) (*imagecheck.Report, error) {
	policy, err := imagecheck.AccountPolicy(policyText)
	if err != nil {
		return nil, err
	}
	bases, err := c.bases(ctx)
	if err != nil {
		return nil, err
	}
	img, err := c.Images.Image(ctx, ref.Repository.ID, ref.Image, ref.Digest)
	if err != nil {
		return nil, err
	}
	opts := imagecheck.Options{
		Policy: policy, Bases: bases, WantBase: true, BaseType: baseType, Platform: "linux/amd64", Cache: c.Cache,
		Ref: ref.Path, Source: "registry", Digest: ref.Digest, Version: c.Version, Now: c.Now,
	}
	if c.Advisories != nil {
		db, done := c.Advisories.take()
		defer done()
		opts.Vulnerabilities = &imagecheck.VulnerabilityScan{DB: db}
	}
	return imagecheck.Check(ctx, img, opts)
}
