// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// endpoint is one resource of the API.
type endpoint int

const (
	endpointBase endpoint = iota
	endpointCatalog
	endpointBlob
	endpointUploads
	endpointUpload
	endpointManifest
	endpointTags
	endpointReferrers
)

// route is a parsed path.
type route struct {
	endpoint   endpoint
	name       string       // as in the URL: db/schema/repository/image
	repository catalog.Name // canonical
	image      string
	reference  string // digest, tag or upload id
}

// request is one authenticated API request.
type request struct {
	*http.Request
	route
	id Identity
}

// handler serves one method of one endpoint. It writes the answer, or returns an error and has written nothing.
type handler func(g *Registry, w http.ResponseWriter, r *request) error

// methods gives the handlers of an endpoint.
func methods(e endpoint) map[string]handler {
	switch e {
	case endpointCatalog:
		return map[string]handler{"GET": (*Registry).getCatalog}
	case endpointBlob:
		return map[string]handler{"GET": (*Registry).getBlob, "HEAD": (*Registry).headBlob, "DELETE": (*Registry).deleteBlob}
	case endpointUploads:
		return map[string]handler{"POST": (*Registry).postUpload}
	case endpointUpload:
		return map[string]handler{
			"GET": (*Registry).getUpload, "PATCH": (*Registry).patchUpload, "PUT": (*Registry).putUpload, "DELETE": (*Registry).cancelUpload,
		}
	case endpointManifest:
		return map[string]handler{
			"GET": (*Registry).getManifest, "HEAD": (*Registry).getManifest, "PUT": (*Registry).putManifest, "DELETE": (*Registry).deleteManifest,
		}
	case endpointTags:
		return map[string]handler{"GET": (*Registry).getTags}
	case endpointReferrers:
		return map[string]handler{"GET": (*Registry).getReferrers}
	default:
		return map[string]handler{"GET": (*Registry).getBase, "HEAD": (*Registry).getBase}
	}
}

// serveAPI serves /v2 and everything below.
func (g *Registry) serveAPI(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	id, unknown := g.authenticate(r)
	if unknown != nil && !errors.Is(unknown, errNoLogin) {
		g.fail(w, r, unknown)
		return
	}
	at, err := parseRoute(r.URL.Path)
	if unknown != nil {
		id = anonymous()
	}
	if unknown != nil && (err != nil || at.endpoint == endpointBase || at.endpoint == endpointCatalog) || id.anonymous() && r.Method != http.MethodGet && r.Method != http.MethodHead {
		err = g.loginNeeded(r) // base and catalog tell clients where to log in
	}
	if err != nil {
		g.fail(w, r, err)
		return
	}
	serve, ok := methods(at.endpoint)[r.Method]
	if !ok {
		g.fail(w, r, errs.New(errs.Unsupported, "method %s is not served at %s", r.Method, r.URL.Path))
		return
	}
	req := &request{r, at, id}
	err = serve(g, w, req)
	if errors.Is(err, errNoLogin) {
		err = g.loginNeeded(r)
	}
	if err != nil {
		if errors.Is(err, errNotAuthorized) {
			g.auditDenied(req, err)
		}
		g.fail(w, r, err)
	}
}

// getBase answers GET /v2/: the API is here and the credentials are good.
func (g *Registry) getBase(w http.ResponseWriter, _ *request) error {
	writeJSON(w, http.StatusOK, struct{}{})
	return nil
}

var (
	nameComponent = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$`)
	tagPattern    = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// maxName bounds an image name, in bytes, as docker does.
const maxName = 255

// parseRoute reads a path. The words that end it decide what it is; all before them is the name.
func parseRoute(path string) (route, error) {
	rest, ok := strings.CutPrefix(path, "/v2")
	if !ok || rest != "" && rest[0] != '/' {
		return route{}, errs.New(errs.NotFound, "nothing is served at %s", path)
	}
	rest = strings.TrimPrefix(rest, "/")
	if rest == "" {
		return route{endpoint: endpointBase}, nil
	}
	if rest == "_catalog" {
		return route{endpoint: endpointCatalog}, nil
	}
	parts := strings.Split(rest, "/")
	if parts[len(parts)-1] == "uploads" {
		parts = append(parts, "")
	}
	n := len(parts)
	ends := func(i int, word string) bool { return n > i && parts[n-1-i] == word }
	switch last := parts[n-1]; {
	case ends(1, "uploads") && ends(2, "blobs") && last == "":
		return named(endpointUploads, parts[:n-3], "")
	case ends(1, "uploads") && ends(2, "blobs"):
		return named(endpointUpload, parts[:n-3], last)
	case ends(1, "blobs"):
		return digested(endpointBlob, parts[:n-2], last)
	case ends(1, "referrers"):
		return digested(endpointReferrers, parts[:n-2], last)
	case ends(1, "manifests"):
		if strings.Contains(last, ":") {
			return digested(endpointManifest, parts[:n-2], last)
		}
		if !tagPattern.MatchString(last) {
			return route{}, coded(manifestInvalid, errs.New(errs.Invalid, "%q is no tag", last))
		}
		return named(endpointManifest, parts[:n-2], last)
	case ends(1, "tags") && last == "list":
		return named(endpointTags, parts[:n-2], "")
	}
	return route{}, coded(unsupported, errs.New(errs.NotFound, "nothing is served at %s", path))
}

// named makes a route of the parts of a name.
func named(e endpoint, parts []string, reference string) (route, error) {
	name := strings.Join(parts, "/")
	valid := !slices.ContainsFunc(parts, func(p string) bool { return !nameComponent.MatchString(p) })
	if len(parts) < 4 || len(name) > maxName || !valid {
		return route{}, coded(nameInvalid, errs.New(errs.Invalid,
			"image name %q must have the form database/schema/repository/image, in lower case", name))
	}
	return route{
		endpoint:   e,
		name:       name,
		repository: repositoryName(parts),
		image:      strings.Join(parts[3:], "/"),
		reference:  reference,
	}, nil
}

// repositoryName is the canonical name of the repository that a path starts with.
func repositoryName(parts []string) catalog.Name {
	return catalog.Name{
		Database: strings.ToUpper(parts[0]), Schema: strings.ToUpper(parts[1]), Object: strings.ToUpper(parts[2]),
	}
}

// digested makes a route that names a digest.
func digested(e endpoint, parts []string, reference string) (route, error) {
	if err := checkDigest(reference); err != nil {
		return route{}, err
	}
	return named(e, parts, reference)
}

// checkDigest tells whether a text is a digest of SHA-256 or SHA-512.
func checkDigest(text string) error {
	d, err := digest.Parse(text)
	if err != nil || d.Algorithm() != digest.SHA256 && d.Algorithm() != digest.SHA512 {
		return coded(digestInvalid, errs.Wrap(err, errs.Invalid, "%.200q is no digest: sha256:<64 hex digits> or sha512:<128 hex digits>", text))
	}
	return nil
}

// isDigest tells whether the reference of a manifest route is a digest, not a tag.
func isDigest(reference string) bool { return strings.Contains(reference, ":") }
