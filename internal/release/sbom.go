package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path"
	"runtime/debug"
	"strings"
	"time"
)

// parts is what a program says it was built of.
type parts struct {
	path     string // of its main package
	module   string
	version  string
	commit   string // empty if it was built outside a checkout
	modules  []debug.Module
	checksum [sha256.Size]byte // SHA-256 of the program's file
}

// readParts reads what the linker wrote into a program: what "go version -m" shows. Go's own library is the first of its modules.
func readParts(name string) (*parts, error) {
	info, err := buildinfo.ReadFile(name)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	p := &parts{path: info.Path, module: info.Main.Path, version: info.Main.Version, checksum: sha256.Sum256(content)}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			p.commit = s.Value
		}
	}
	p.modules = append(p.modules, debug.Module{Path: "std", Version: strings.TrimPrefix(info.GoVersion, "go")})
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		p.modules = append(p.modules, *m)
	}
	return p, nil
}

// The parts of CycloneDX 1.6 that we write (https://cyclonedx.org/docs/1.6/json/).
type (
	cycloneDX struct {
		Format       string      `json:"bomFormat"`
		Spec         string      `json:"specVersion"`
		Serial       string      `json:"serialNumber"`
		Version      int         `json:"version"`
		Metadata     metadata    `json:"metadata"`
		Components   []component `json:"components"`
		Dependencies []depends   `json:"dependencies"`
	}
	metadata struct {
		Timestamp string    `json:"timestamp"`
		Component component `json:"component"`
	}
	component struct {
		Type       string     `json:"type"`
		Ref        string     `json:"bom-ref"`
		Name       string     `json:"name"`
		Version    string     `json:"version"`
		PURL       string     `json:"purl"`
		Hashes     []hash     `json:"hashes,omitempty"`
		Properties []property `json:"properties,omitempty"`
	}
	hash struct {
		Alg     string `json:"alg"`
		Content string `json:"content"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	depends struct {
		Ref string   `json:"ref"`
		On  []string `json:"dependsOn"`
	}
)

// sbom lists the parts of a program in CycloneDX's JSON. The serial number comes from the program, so that the same program has the
// same list. A program does not know which of its parts uses which: all stand below it.
func sbom(p *parts, when time.Time) ([]byte, error) {
	ref := purl(p.module, p.version)
	if sub := strings.TrimPrefix(p.path, p.module+"/"); sub != p.path {
		ref += "#" + sub
	}
	program := component{
		Type: "application", Ref: ref, Name: path.Base(p.path), Version: p.version, PURL: ref,
		Hashes: []hash{{"SHA-256", fmt.Sprintf("%x", p.checksum)}},
	}
	if p.commit != "" {
		program.Properties = []property{{"vcs.revision", p.commit}}
	}
	bom := cycloneDX{
		Format: "CycloneDX", Spec: "1.6", Serial: serial(p.checksum), Version: 1,
		Metadata:     metadata{when.Format(time.RFC3339), program},
		Components:   []component{},
		Dependencies: []depends{{Ref: ref, On: []string{}}},
	}
	for _, m := range p.modules {
		part := component{Type: "library", Ref: purl(m.Path, m.Version), Name: m.Path, Version: m.Version, PURL: purl(m.Path, m.Version)}
		if m.Sum != "" {
			part.Properties = []property{{"go.sum", m.Sum}}
		}
		bom.Components = append(bom.Components, part)
		bom.Dependencies[0].On = append(bom.Dependencies[0].On, part.Ref)
	}
	out, err := json.MarshalIndent(bom, "", "  ")
	return append(out, '\n'), err
}

// purl is a module's package URL. Those of Go are in lower case, and what is not plain in a version is escaped.
func purl(module, version string) string {
	return "pkg:golang/" + strings.ToLower(module) + "@" + strings.ReplaceAll(url.PathEscape(version), "+", "%2B")
}

// serial is a UUID of the kind that anyone may fill as they like (RFC 9562, version 8).
func serial(sum [sha256.Size]byte) string {
	u := sum[:16]
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}
