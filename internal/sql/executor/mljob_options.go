// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"firn.dev/firn/internal/errs"
)

// mlJobSpec is the third argument of SYSTEM$EXECUTE_ML_JOB. Keys that Firn does not know are left alone: newer clients send more.
type mlJobSpec struct {
	StagePath  string            // @[db.][schema.]stage/path/definition
	Args       []string          // of the container
	Entrypoint []string          // replaces the image's entrypoint; old clients only
	Env        map[string]string // of the container
	Metrics    bool
	Overrides  map[string]any // merged into the service specification
	Runtime    string         // cre@name, image path, tag, or "" for the default
}

// mlJobOptions is the fourth argument.
type mlJobOptions struct {
	Integrations []string // as written
	Warehouse    string   // as written
	Target       int      // instances
	Min          int      // instances that must be there before the payload starts
	Suffix       bool     // the name is a prefix
	Async        bool
	Comment      string
}

// decodeMLJobSpec reads the third argument.
//
// Errors: Invalid, naming the key.
func decodeMLJobSpec(text string) (mlJobSpec, error) {
	o, err := decodeOptions("third", text)
	if err != nil {
		return mlJobSpec{}, err
	}
	s := mlJobSpec{
		StagePath: o.text("STAGE_PATH"), Args: o.list("ARGS"), Entrypoint: o.list("ENTRYPOINT"), Env: o.texts("ENV_VARS"),
		Metrics: o.truth("ENABLE_METRICS"), Overrides: o.object("SPEC_OVERRIDES"), Runtime: o.text("RUNTIME"),
	}
	if o.err == nil && s.StagePath == "" {
		return s, badOption("STAGE_PATH", "nothing", "the stage directory of the job, @stage/path")
	}
	return s, o.err
}

// decodeMLJobOptions reads the fourth argument.
//
// Errors: Invalid, naming the key.
func decodeMLJobOptions(text string) (mlJobOptions, error) {
	o, err := decodeOptions("fourth", text)
	if err != nil {
		return mlJobOptions{}, err
	}
	s := mlJobOptions{
		Integrations: o.list("EXTERNAL_ACCESS_INTEGRATIONS"), Warehouse: o.text("QUERY_WAREHOUSE"), Target: o.number("TARGET_INSTANCES"),
		Min: o.number("MIN_INSTANCES"), Suffix: o.truth("GENERATE_SUFFIX"), Async: o.truth("ASYNC"), Comment: o.text("COMMENT"),
	}
	if s.Target == 0 {
		s.Target = 1
	}
	if s.Min == 0 {
		s.Min = s.Target
	}
	switch {
	case o.err != nil:
		return s, o.err
	case s.Target < 1 || s.Target > maxInstances:
		return s, badOption("TARGET_INSTANCES", strconv.Itoa(s.Target), "1 to "+strconv.Itoa(maxInstances))
	case s.Min < 1 || s.Min > s.Target:
		return s, badOption("MIN_INSTANCES", strconv.Itoa(s.Min), "1 to TARGET_INSTANCES, which is "+strconv.Itoa(s.Target))
	}
	return s, nil
}

// maxInstances is the largest number of instances that one job may ask for.
const maxInstances = 1000

// badOption is the error for a key of a JSON argument that has a wrong value.
func badOption(key, value, allowed string) error {
	return errs.New(errs.Invalid, "invalid value %s for '%s'; expected %s", value, key, allowed).Numbered(1008, "22023")
}

// optionReader reads typed values out of a JSON object, whatever the case of its keys, and keeps the first thing that is wrong. null
// and a missing key are the same.
type optionReader struct {
	values map[string]any
	err    error
}

func decodeOptions(which, text string) (*optionReader, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var values map[string]any
	err := d.Decode(&values)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errs.New(errs.Invalid, "something follows the object")
		}
	}
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "the %s argument is no JSON object", which).Numbered(1008, "22023")
	}
	o := &optionReader{values: map[string]any{}}
	for k, v := range values {
		if v != nil {
			o.values[strings.ToUpper(k)] = v
		}
	}
	return o, nil
}

func (o *optionReader) wrong(key string, value any, allowed string) {
	if o.err == nil {
		b, _ := json.Marshal(value)
		o.err = badOption(key, string(b), allowed)
	}
}

func (o *optionReader) text(key string) string {
	v, ok := o.values[key]
	if !ok {
		return ""
	}
	s, ok := v.(string)
	if !ok {
		o.wrong(key, v, "a text")
	}
	return s
}

func (o *optionReader) truth(key string) bool {
	v, ok := o.values[key]
	if !ok {
		return false
	}
	b, ok := v.(bool)
	if !ok {
		o.wrong(key, v, "true or false")
	}
	return b
}

func (o *optionReader) number(key string) int {
	v, ok := o.values[key]
	if !ok {
		return 0
	}
	number, _ := v.(json.Number)
	n, err := strconv.Atoi(number.String())
	if err != nil {
		o.wrong(key, v, "a whole number")
	}
	return n
}

func (o *optionReader) object(key string) map[string]any {
	v, ok := o.values[key]
	if !ok {
		return nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		o.wrong(key, v, "an object")
	}
	plain, _ := plainNumbers(m).(map[string]any)
	return plain
}

func (o *optionReader) list(key string) []string {
	v, ok := o.values[key]
	if !ok {
		return nil
	}
	items, ok := v.([]any)
	if !ok {
		o.wrong(key, v, "a list of texts")
	}
	out := []string{}
	for _, item := range items {
		s, ok := scalarText(item)
		if !ok {
			o.wrong(key, item, "a list of texts")
		}
		out = append(out, s)
	}
	return out
}

func (o *optionReader) texts(key string) map[string]string {
	v, ok := o.values[key]
	if !ok {
		return nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		o.wrong(key, v, "an object of texts")
	}
	out := map[string]string{}
	for k, item := range m {
		s, ok := scalarText(item)
		if !ok {
			o.wrong(key+"."+k, item, "a text")
		}
		out[k] = s
	}
	return out
}

// scalarText gives a JSON scalar as text.
func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// plainNumbers replaces json.Number by int64 or float64, which the YAML printer writes as numbers.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			v[k] = plainNumbers(item)
		}
	case []any:
		for i, item := range v {
			v[i] = plainNumbers(item)
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	}
	return v
}
