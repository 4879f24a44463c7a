package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
)

// The parts of an in-toto statement with SLSA's provenance 1.0 that we write (https://slsa.dev/spec/v1.0/provenance).
type (
	statement struct {
		Type          string     `json:"_type"`
		Subject       []resource `json:"subject"`
		PredicateType string     `json:"predicateType"`
		Predicate     predicate  `json:"predicate"`
	}
	predicate struct {
		Build buildDefinition `json:"buildDefinition"`
		Run   runDetails      `json:"runDetails"`
	}
	buildDefinition struct {
		Type         string            `json:"buildType"`
		Parameters   map[string]string `json:"externalParameters"`
		Dependencies []resource        `json:"resolvedDependencies"`
	}
	runDetails struct {
		Builder struct {
			ID string `json:"id"`
		} `json:"builder"`
	}
	resource struct {
		Name   string            `json:"name"`
		Digest map[string]string `json:"digest,omitempty"`
	}
)

// provenance tells of the files names in dir what they were built of, and how they can be built again.
func provenance(dir string, names []string, commit string) ([]byte, error) {
	s := statement{Type: "https://in-toto.io/Statement/v1", PredicateType: "https://slsa.dev/provenance/v1"}
	for _, name := range slices.Sorted(slices.Values(names)) {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		s.Subject = append(s.Subject, resource{name, map[string]string{"sha256": fmt.Sprintf("%x", sha256.Sum256(content))}})
	}
	// Who built it is for whoever signs to say: anybody can build the same bytes.
	s.Predicate.Run.Builder.ID = "urn:tari-libp2p:anybody"
	s.Predicate.Build = buildDefinition{
		Type:       "urn:tari-libp2p:release:1",
		Parameters: map[string]string{"command": "go run ./internal/release", "go": runtime.Version()},
		Dependencies: []resource{
			{"git commit of tari-libp2p", map[string]string{"gitCommit": commit}},
			{Name: runtime.Version()},
		},
	}
	text, err := json.MarshalIndent(s, "", "  ")
	return append(text, '\n'), err
}

// sign has ssh-keygen sign SHA256SUMS in dir with the key in file, an SSH key, into SHA256SUMS.sig.
func sign(dir, file string) error {
	sums := filepath.Join(dir, sumsName)
	if err := os.Remove(sums + ".sig"); err != nil && !os.IsNotExist(err) {
		return err
	}
	cmd := exec.Command("ssh-keygen", "-Y", "sign", "-q", "-f", file, "-n", "tari-libp2p-release", sums)
	cmd.Stdin, cmd.Stderr = os.Stdin, os.Stderr // it may ask for a passphrase
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("ssh-keygen: %w", err)
	}
	return nil
}
