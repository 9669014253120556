// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/ast"
)

// An image repository may have an upstream, a registry from where its images come. Here it is written and shown; the registry fetches.

// upstreamProperty is UPSTREAM = 'https://HOST/PREFIX'. A secret is for one upstream: another one comes without it, unless the statement sets it.
func upstreamProperty() property {
	set := func(url string) change {
		return func(o *catalog.Object) {
			s := o.Spec.(*catalog.ImageRepositorySpec)
			if s.Upstream != url {
				s.Upstream, s.UpstreamSecret = url, catalog.Name{}
			}
		}
	}
	return property{
		name: "UPSTREAM", reset: set(""),
		decode: func(_ context.Context, w *work, v ast.Value) (change, error) {
			text, err := w.textValue("UPSTREAM", v)
			if err != nil {
				return nil, err
			}
			url, err := w.options.Upstream(text)
			return set(url), err
		},
	}
}

// upstreamSecretProperty is UPSTREAM_SECRET = a secret of TYPE = PASSWORD that the role may use.
func upstreamSecretProperty() property {
	set := func(name catalog.Name) change {
		return func(o *catalog.Object) { o.Spec.(*catalog.ImageRepositorySpec).UpstreamSecret = name }
	}
	return property{
		name: "UPSTREAM_SECRET", reset: set(catalog.Name{}),
		decode: func(ctx context.Context, w *work, v ast.Value) (change, error) {
			text, err := w.textValue("UPSTREAM_SECRET", v)
			if err != nil {
				return nil, err
			}
			name, err := w.parseName(text, catalog.KindSecret)
			if err != nil {
				return nil, err
			}
			needs := toUse(catalog.KindSecret, name)
			w.requires = append(w.requires, needs...)
			return set(name), w.view(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
				if err := g.Check(needs); err != nil {
					return err
				}
				_, secret, err := catalog.Get[*catalog.SecretSpec](tx, name)
				if err == nil && secret.Type != "PASSWORD" {
					return badValue("UPSTREAM_SECRET", name.String(), "a secret of TYPE = PASSWORD")
				}
				return err
			})
		},
	}
}

// checkUpstream refuses a login for nowhere.
func checkUpstream(s *catalog.ImageRepositorySpec) error {
	if s.Upstream == "" && s.UpstreamSecret != (catalog.Name{}) {
		return errs.New(errs.Invalid, "SQL compilation error:\nMissing option(s): [UPSTREAM]; UPSTREAM_SECRET logs in there").Numbered(2029, "22023")
	}
	return nil
}
