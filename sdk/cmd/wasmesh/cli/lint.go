package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/lint"
)

// Exit codes of lint.
const (
	exitWarnings = 1
	exitErrors   = 2
)

// maxManifestBytes is more than any manifest that an API server takes, with room for many in one file.
const maxManifestBytes = 64 << 20

// findingsError ends a command that found something, and has printed it.
type findingsError struct {
	// code of the program.
	code int
}

// Error says that there is nothing to add.
func (e findingsError) Error() string {
	return fmt.Sprintf("there are findings (exit code %d)", e.code)
}

// linting is one `wasmesh lint`.
type linting struct {
	paths  []string
	output string
	strict bool
}

func newLint() *cobra.Command {
	l := &linting{}
	command := &cobra.Command{
		Use:   "lint -f PATH [-f PATH ...]",
		Short: "Say what will differ for manifests that were written for ModelMesh",
		Long: `lint reads manifests and says for each InferenceService, Predictor, ServingRuntime and ClusterServingRuntime, for the Secret
storage-config and the ConfigMap model-serving-config, what will not work and what has no effect. Nothing needs to run; values of
Secrets are never printed. What belongs together is best read together: a model is held against the runtimes and the Secrets
beside it.

Each line of the output is one finding, "FILE:LINE KIND/NAME: LEVEL: MESSAGE". An error will not work; a warning works, and not in
every way as its owner may expect. The exit code is
  0  when nothing was found, or warnings only
  1  when there are warnings only, with --strict, or when the files could not be read
  2  when there are errors`,
		Example: `  wasmesh lint -f manifests/
  kubectl get isvc,predictors,servingruntimes,clusterservingruntimes -A -o yaml | wasmesh lint -f -`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return l.run(command.InOrStdin(), command.OutOrStdout(), command.ErrOrStderr())
		},
	}
	flags := command.Flags()
	flags.StringArrayVarP(&l.paths, "filename", "f", nil, "file, directory of *.yaml, *.yml and *.json, or - for the standard input (repeatable)")
	flags.StringVarP(&l.output, "output", "o", "text", "text or json")
	flags.BoolVar(&l.strict, "strict", false, "end with 1 when there are warnings")
	_ = command.MarkFlagRequired("filename") // fails only for a flag that does not exist
	return command
}

func (l *linting) run(in io.Reader, out, errs io.Writer) error {
	if l.output != "text" && l.output != "json" {
		return fmt.Errorf("-o %s: one of text, json", l.output)
	}
	var files []lint.File
	for _, path := range l.paths {
		more, err := manifests(path, in)
		if err != nil {
			return fmt.Errorf("lint %s: %w", path, err)
		}
		files = append(files, more...)
	}
	report := lint.Check(files)
	if err := l.print(report, out); err != nil {
		return err
	}
	errors, warnings := report.Count(lint.Error), report.Count(lint.Warning)
	fmt.Fprintf(errs, "%s, %s in %s.\n", counted(errors, "error"), counted(warnings, "warning"), counted(report.Objects, "object"))
	switch {
	case errors > 0:
		return findingsError{exitErrors}
	case warnings > 0 && l.strict:
		return findingsError{exitWarnings}
	}
	return nil
}

func (l *linting) print(report lint.Report, out io.Writer) error {
	if l.output == "json" {
		findings := report.Findings
		if findings == nil {
			findings = []lint.Finding{}
		}
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(findings)
	}
	for _, f := range report.Findings {
		if _, err := fmt.Fprintln(out, f); err != nil {
			return err
		}
	}
	return nil
}

// counted is "1 error", "2 errors".
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// manifests reads a file, every manifest below a directory, or the standard input.
func manifests(path string, in io.Reader) ([]lint.File, error) {
	if path == "-" {
		content, err := io.ReadAll(io.LimitReader(in, maxManifestBytes+1))
		if err == nil && len(content) > maxManifestBytes {
			err = fmt.Errorf("there are more than %d bytes", maxManifestBytes)
		}
		return []lint.File{{Name: "-", Content: content}}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, unwrapped(err)
	}
	if !info.IsDir() {
		content, err := readLimited(path, maxManifestBytes)
		return []lint.File{{Name: path, Content: content}}, err
	}
	var files []lint.File
	err = filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
		hidden := strings.HasPrefix(entry.Name(), ".") && file != path
		switch {
		case err != nil:
			return err
		case entry.IsDir() && hidden:
			return filepath.SkipDir
		case entry.IsDir() || hidden || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(file)):
			return nil
		}
		content, err := readLimited(file, maxManifestBytes)
		files = append(files, lint.File{Name: file, Content: content})
		return err
	})
	if err == nil && len(files) == 0 {
		err = errors.New("there is no *.yaml, *.yml or *.json below it")
	}
	return files, err
}

// unwrapped drops the path from an error, which is in front of it already.
func unwrapped(err error) error {
	if of, ok := errors.AsType[*fs.PathError](err); ok {
		return of.Err
	}
	return err
}
