package main

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemas are the definitions in docs/schema.json, compiled and as they stand there.
func schemas(t *testing.T) (*jsonschema.Compiler, map[string]any) {
	t.Helper()
	f, err := os.Open("../../docs/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.AssertContent()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Compile("schema.json"); err != nil {
		t.Fatal(err)
	}
	return c, doc.(map[string]any)["$defs"].(map[string]any)
}

// testSchema: each line is what its definition says, and no more. Each definition of a line was seen.
func testSchema(t *testing.T, all []printed) {
	c, defs := schemas(t)
	seen := map[string]bool{}
	for _, p := range all {
		seen[p.name] = true
		s, err := c.Compile("schema.json#/$defs/" + p.name)
		if err != nil {
			t.Errorf("%v, for %s", err, p.line)
			continue
		}
		o, err := jsonschema.UnmarshalJSON(strings.NewReader(p.line))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(o); err != nil {
			t.Errorf("%s: %v\n%s", p.name, err, p.line)
			continue
		}
		strangers(t, s, p.name, o, o)
	}
	for name, def := range defs {
		if def.(map[string]any)["$ref"] == "#/$defs/line" && !seen[name] {
			t.Errorf("nothing printed is a %s", name)
		}
	}
}

// strangers puts a field that nobody knows into each object within whole, which must then be refused.
func strangers(t *testing.T, s *jsonschema.Schema, name string, whole, part any) {
	t.Helper()
	switch part := part.(type) {
	case map[string]any:
		for field, inner := range part {
			if !slices.Contains([]string{"classes", "invalid", "refused", "address_kinds", "dropped"}, field) { // maps: any name may stand there
				strangers(t, s, name, whole, inner)
			}
		}
		part["stranger"] = []any{}
		if s.Validate(whole) == nil {
			t.Errorf("%s: a field that nobody knows passes in %v", name, part)
		}
		delete(part, "stranger")
	case []any:
		for _, inner := range part {
			strangers(t, s, name, whole, inner)
		}
	}
}

// TestSchemaDescribes: every field and every definition has a description, and every line is one of those at the top.
func TestSchemaDescribes(t *testing.T) {
	_, defs := schemas(t)
	top, err := os.ReadFile("../../docs/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var page struct {
		AnyOf []struct {
			Ref string `json:"$ref"`
		} `json:"anyOf"`
	}
	if err := json.Unmarshal(top, &page); err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, one := range page.AnyOf {
		listed[strings.TrimPrefix(one.Ref, "#/$defs/")] = true
	}
	fields := 0
	for name, def := range defs {
		def := def.(map[string]any)
		if def["description"] == nil {
			t.Errorf("%s has no description", name)
		}
		properties, _ := def["properties"].(map[string]any)
		for field, is := range properties {
			if fields++; is.(map[string]any)["description"] == nil {
				t.Errorf("%s of %s has no description", field, name)
			}
		}
		if isLine := def["$ref"] == "#/$defs/line"; isLine != listed[name] {
			t.Errorf("%s is a line: %v, listed at the top: %v", name, isLine, listed[name])
		}
	}
	if fields < 300 {
		t.Errorf("only %d fields were seen", fields)
	}
}

// TestSchemaRefuses what no line may be.
func TestSchemaRefuses(t *testing.T) {
	c, _ := schemas(t)
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]bool{
		`{"schema":1,"failure":"usage","error":"x"}`:                             true,
		`{"schema":2,"failure":"usage","error":"x"}`:                             false,
		`{"schema":1,"failure":"weather","error":"x"}`:                           false,
		`{"schema":1,"failure":"usage"}`:                                         false,
		`{"failure":"usage","error":"x"}`:                                        false,
		`{"schema":1,"running":true,"connections":[],"failure":"other"}`:         false,
		`{"schema":1,"time":"yesterday","event":"missed","missed":1}`:            false,
		`{"schema":1,"time":"2026-11-27T07:00:00Z","event":"missed"}`:            false,
		`{"schema":1,"time":"2026-11-27T07:00:00Z","event":"missed","missed":1}`: true,
	} {
		o, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Validate(o); (got == nil) != want {
			t.Errorf("%s: %v", line, got)
		}
	}
}
