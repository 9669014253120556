// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// getCatalog lists the names of the images that the identity may pull, in byte order. A repository whose name no path can have is left out.
func (g *Registry) getCatalog(w http.ResponseWriter, r *request) error {
	query := r.URL.Query()
	page, err := pageSize(query)
	if err != nil {
		return err
	}
	names := []string{}
	err = g.Catalog.View(r.Context(), func(tx catalog.Tx) error {
		names, err = g.imageNames(tx, r.id, query.Get("last"))
		return err
	})
	if err != nil {
		return err
	}
	if len(names) > page {
		names = names[:page]
		if page > 0 {
			next := "/v2/_catalog?n=" + strconv.Itoa(page) + "&last=" + url.QueryEscape(names[page-1])
			w.Header().Set("Link", "<"+next+`>; rel="next"`)
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"repositories": names})
	return nil
}

// imageNames gives the names after the one named last; never nil.
func (g *Registry) imageNames(tx catalog.Tx, id Identity, last string) ([]string, error) {
	var readable []*catalog.Object
	for o, err := range tx.Objects(catalog.KindImageRepository, catalog.Name{}) {
		if err != nil {
			return nil, err
		}
		readable = append(readable, o)
	}
	names := []string{}
	for _, o := range readable {
		parts := strings.Split(strings.ToLower(o.Name.Database+"/"+o.Name.Schema+"/"+o.Name.Object), "/")
		if slices.ContainsFunc(parts, func(p string) bool { return !nameComponent.MatchString(p) }) || len(parts) != 3 || repositoryName(parts) != o.Name {
			continue
		}
		if allowed, err := g.mayPull(tx, id, o); err != nil {
			return nil, err
		} else if !allowed {
			continue
		}
		for image, err := range tx.ImageNames(o.ID) {
			if err != nil {
				return nil, err
			}
			if name := strings.Join(parts, "/") + "/" + image; name > last {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// mayPull tells whether the identity holds READ or WRITE.
func (g *Registry) mayPull(tx catalog.Tx, id Identity, repository *catalog.Object) (bool, error) {
	allowed, err := g.Authorizer.Allowed(tx, id, catalog.Read, repository)
	if err != nil || allowed {
		return allowed, err
	}
	return g.Authorizer.Allowed(tx, id, catalog.Write, repository)
}

// pageSize is how many entries of a list the client wants at most.
//
// Errors: Invalid.
func pageSize(query url.Values) (int, error) {
	n := query.Get("n")
	if n == "" {
		return maxPage, nil
	}
	asked, err := strconv.Atoi(n)
	if err != nil || asked < 0 {
		return 0, coded(unsupported, errs.New(errs.Invalid, "page size %.20q is no number", n))
	}
	return min(asked, maxPage), nil
}
