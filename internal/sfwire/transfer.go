// SPDX-License-Identifier: Apache-2.0

package sfwire

import (
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"

	"firn.dev/firn/internal/auth"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/executor"
)

// filePrefix is the path below which stage files are uploaded and downloaded: <prefix><stage id>/<path>. To clients it is a bucket
// of an object store.
const filePrefix = "/firn-stage/"

// tokenKey is the query parameter of links that carries their token.
const tokenKey = "firn-token"

// connector5 is the User-Agent of the Python connector from version 5 on.
var connector5 = regexp.MustCompile(`^PythonConnector/([5-9]|\d\d)`)

// endPoint is where a client brings a token for a directory of files, which lets it see what is there and ask once for all files;
// "" for a client that needs a link for each. Connector 5 takes an endpoint with a scheme, the others put https:// before it.
func endPoint(r *http.Request) string {
	switch whole := origin(r); {
	case connector5.MatchString(r.UserAgent()):
		return whole
	case strings.HasPrefix(whole, "https://"):
		return r.Host
	}
	return ""
}

// transfer is the answer of PUT and GET: the client does the rest and makes the result rows itself.
// snowflake-connector-python file_transfer_agent.py, gcs_storage_client.py; gosnowflake file_transfer_agent.go.
func (d *Door) transfer(r *http.Request, s *catalog.Session, res *executor.Result) (map[string]any, error) {
	if strings.Contains(r.Header.Get("Accept"), "application/snowflake") {
		return nil, errs.New(errs.Unsupported, "Unsupported feature 'unsupported_requested_format:snowflake'.").Numbered(218, "0A000")
	}
	t := res.Transfer
	if t.Upload {
		return d.uploadPlan(r, res)
	}
	return d.downloadPlan(r, s, res)
}

func (d *Door) uploadPlan(r *http.Request, res *executor.Result) (map[string]any, error) {
	t := res.Transfer
	place := string(t.Stage.ID) + "/" + t.Prefix
	stageInfo := map[string]any{
		"locationType": "GCS", "location": strings.Trim(filePrefix, "/") + "/" + place, "path": "", "region": "local",
		"storageAccount": nil, "isClientSideEncrypted": false, "creds": map[string]any{}, "presignedUrl": nil, "endPoint": nil,
	}
	if endPoint := endPoint(r); endPoint != "" {
		token, err := d.Auth.Sign(r.Context(), grant("PUT", place, false), auth.TransferTTL)
		if err != nil {
			return nil, err
		}
		stageInfo["creds"] = map[string]any{"GCS_ACCESS_TOKEN": token.Reveal()}
		stageInfo["endPoint"] = endPoint
	} else {
		link, err := d.link(r, "PUT", place+uploadName(t.Local))
		if err != nil {
			return nil, err
		}
		stageInfo["presignedUrl"] = link
	}
	threshold, err := strconv.Atoi(t.Options["THRESHOLD"])
	if err != nil {
		threshold = 200 << 20
	}
	return map[string]any{
		"command": "UPLOAD", "src_locations": []string{t.Local}, "parallel": parallel(t, 4), "threshold": threshold,
		"autoCompress": !strings.EqualFold(t.Options["AUTO_COMPRESS"], "false"),
		"overwrite":    strings.EqualFold(t.Options["OVERWRITE"], "true"), "sourceCompression": compression(t),
		"clientShowEncryptionParameter": true, "encryptionMaterial": nil, "uploadInfo": nil, "stageInfo": stageInfo,
		"queryId": res.QueryID, "kind": nil, "operation": "Node", "statementTypeId": res.TypeID,
	}, nil
}

func (d *Door) downloadPlan(r *http.Request, s *catalog.Session, res *executor.Result) (map[string]any, error) {
	t := res.Transfer
	root := string(t.Stage.ID) + "/"
	files := make([]string, len(t.Files))
	for i, f := range t.Files {
		files[i] = f.Path
	}
	stageInfo := map[string]any{
		"locationType": "GCS", "location": strings.Trim(filePrefix, "/") + "/" + root, "path": "", "region": "local",
		"creds": map[string]any{}, "presignedUrl": nil, "endPoint": nil, "isClientSideEncrypted": false,
	}
	plan := map[string]any{
		"command": "DOWNLOAD", "src_locations": files, "localLocation": t.Local, "parallel": parallel(t, 10),
		"encryptionMaterial": nil, "stageInfo": stageInfo, "queryId": res.QueryID, "statementTypeId": res.TypeID,
	}
	if endPoint := endPoint(r); endPoint != "" {
		token, err := d.Auth.Sign(r.Context(), grant("GET", root+t.Prefix, false), auth.TransferTTL)
		if err != nil {
			return nil, err
		}
		stageInfo["creds"] = map[string]any{"GCS_ACCESS_TOKEN": token.Reveal()}
		stageInfo["endPoint"] = endPoint
		return plan, nil
	}
	links := make([]string, len(files))
	for i, f := range files {
		var err error
		if links[i], err = d.link(r, "GET", root+f); err != nil {
			return nil, err
		}
	}
	plan["presignedUrls"] = links
	return plan, nil
}

// uploadName is the name under which the file of a local path is stored. Clients that need a link for each file send the statement
// again for each: Python with the bare name, gosnowflake with the name put after what is left of the pattern, as in /dir/*a.txt.
// gosnowflake file_transfer_agent.go (updateFileMetadataWithPresignedURL).
func uploadName(local string) string {
	dir, name := path.Split(local)
	if dir == "" {
		return name
	}
	for _, wild := range []string{"*", "?", "]"} {
		if i := strings.LastIndex(name, wild); i >= 0 && i < len(name)-1 {
			return name[i+1:]
		}
	}
	return name
}

// grant is what a transfer token says: the method, and the path that it opens, exactly or as a prefix.
func grant(method, place string, exact bool) string {
	if exact {
		return method + " = " + place
	}
	return method + " ^ " + place
}

// granted tells whether a transfer token's text opens a path for a method.
func granted(text, method, place string) bool {
	if method == http.MethodHead && strings.HasPrefix(text, "PUT ^ ") {
		method = http.MethodPut // an uploading client looks whether the file is there
	}
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if rest, ok := strings.CutPrefix(text, method+" = "); ok {
		return rest == place
	}
	rest, ok := strings.CutPrefix(text, method+" ^ ")
	return ok && strings.HasPrefix(place, rest)
}

// link is a URL that opens one file for one method, for a while, for whoever has it.
func (d *Door) link(r *http.Request, method, place string) (string, error) {
	token, err := d.Auth.Sign(r.Context(), grant(method, place, true), auth.TransferTTL)
	if err != nil {
		return "", err
	}
	u := url.URL{Path: filePrefix + place, RawQuery: url.Values{tokenKey: {token.Reveal()}}.Encode()}
	return origin(r) + u.String(), nil
}

// origin is the scheme and host under which this client reached the server: a laptop and a container see different ones.
func origin(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

func parallel(t *executor.Transfer, fallback int) int {
	n, err := strconv.Atoi(t.Options["PARALLEL"])
	if err != nil || n < 1 {
		return fallback
	}
	return min(n, 99)
}

// compression is SOURCE_COMPRESSION in lower case; gosnowflake refuses an empty one.
func compression(t *executor.Transfer) string {
	if c := t.Options["SOURCE_COMPRESSION"]; c != "" {
		return strings.ToLower(c)
	}
	return "auto_detect"
}
