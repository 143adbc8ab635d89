package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/author"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/policytest"
)

// apply is one run of `policy apply`.
type apply struct {
	manifest       author.Manifest
	config, output string
	wait           time.Duration
	where          *target
	out, errs      io.Writer
}

// defaultApplyWait is longer than a mesh waits for a host that does not prepare a policy, with some seconds for its files
// to be read.
const defaultApplyWait = 45 * time.Second

func newPolicyApply(where *target) *cobra.Command {
	a := &apply{where: where}
	command := &cobra.Command{
		Use:   "apply [DIR|FILE.wasm]",
		Short: "Wrap a policy in its ConfigMap, put it where the mesh reads it, and say what becomes of it",
		Long: `apply writes the ConfigMap of a policy, the module gzipped, into the first directory that the mesh of --data-dir was
started with (up -f), or, in a cluster, into the namespace of the controller, where it replaces all data of the one before. It
waits until the mesh has taken it up, and says what became of it; a policy that the mesh refuses is an error. With -o the
ConfigMap is written to a file instead; "-o -" prints it, for kubectl apply.`,
		Example: `  wasmesh policy apply oldest-first
  wasmesh policy apply oldest-first --shadow --name candidate
  wasmesh policy apply oldest-first -o - | kubectl apply --server-side -f -`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			a.out, a.errs = command.OutOrStdout(), command.ErrOrStderr()
			return withModule(command, args, func(module *policytest.Module, _ string) error {
				return a.run(command.Context(), module)
			})
		},
	}
	flags := command.Flags()
	flags.StringVar(&a.manifest.Name, "name", "", "name of the ConfigMap; the module's unless said otherwise")
	flags.StringVarP(&a.manifest.Namespace, "namespace", "n", "", "namespace of the controller that shall read it; found out unless it is said, and another one needs -o")
	flags.StringVar(&a.config, "config", "", "file with the policy's configuration")
	flags.StringSliceVar(&a.manifest.Hooks, "hooks", nil, "hooks that it shall decide; all that it has unless said otherwise")
	flags.BoolVar(&a.manifest.Shadow, "shadow", false, "ask it beside the policy that decides, and only compare")
	flags.StringVarP(&a.output, "output", "o", "", "file to write; - is standard output")
	flags.DurationVar(&a.wait, "wait", defaultApplyWait, "how long to wait for the mesh to take it up; 0 does not wait")
	_ = command.RegisterFlagCompletionFunc("hooks", completeHooks) // fails only for a flag that does not exist
	return command
}

func (a *apply) run(ctx context.Context, module *policytest.Module) error {
	config, err := optionalFile(a.config)
	if err != nil {
		return err
	}
	if err := a.checkHooks(module.Info()); err != nil {
		return fmt.Errorf("apply policy %s: %w", module.Name(), err)
	}
	// A module that would be refused is better refused here.
	if _, err := module.With(ctx, config); err != nil {
		return err
	}
	if a.manifest.Name == "" {
		a.manifest.Name = module.Name()
	}
	a.manifest.Module, a.manifest.Config = module.Wasm(), config
	if a.output == "" {
		return a.intoMesh(ctx, module)
	}
	return a.intoFile(ctx)
}

func (a *apply) checkHooks(info engine.Info) error {
	for _, name := range a.manifest.Hooks {
		if !slices.ContainsFunc(info.Hooks, func(h policyabi.Hook) bool { return h.String() == name }) {
			return fmt.Errorf("--hooks %s: the module decides %v", name, info.Hooks)
		}
	}
	return nil
}

// intoMesh puts the ConfigMap where the mesh reads it, and follows what becomes of it.
func (a *apply) intoMesh(ctx context.Context, module *policytest.Module) error {
	client, err := a.where.dial()
	if err != nil {
		return err
	}
	defer client.close()
	namespace, err := client.policyNamespace(ctx)
	if err != nil {
		return fmt.Errorf("apply policy %s: %w", module.Name(), err)
	}
	if named := a.manifest.Namespace; named != "" && named != namespace {
		return fmt.Errorf("apply policy %s: -n %s: this mesh reads policies of namespace %s only: leave -n out, or write the ConfigMap for another controller to a file with -o",
			module.Name(), named, namespace)
	}
	a.manifest.Namespace = namespace
	object, err := a.manifest.ConfigMap()
	if err != nil {
		return err
	}
	content, _, err := a.manifest.YAML()
	if err != nil {
		return err
	}
	u := uptake{client: client, manifest: a.manifest, out: a.out}
	u.lookBefore(ctx)
	where, changed, err := client.putPolicy(ctx, object, content)
	if err != nil {
		return err
	}
	if !changed {
		u.before = nil // What the mesh says is of this very one.
		u.removal = client.removal(object, where)
	}
	fmt.Fprintf(a.out, "ConfigMap %s %s %s\n", a.manifest.Name, written(changed), where)
	if a.wait <= 0 {
		fmt.Fprintln(a.out, a.where.words("`wasmesh policy status` shows what becomes of it."))
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, a.wait)
	defer cancel()
	return u.follow(ctx)
}

func written(changed bool) string {
	if changed {
		return "written to"
	}
	return "is so already in"
}

// intoFile writes the ConfigMap for whoever applies it.
func (a *apply) intoFile(ctx context.Context) error {
	if a.manifest.Namespace == "" {
		a.manifest.Namespace = a.where.fileNamespace(ctx)
	}
	content, serverSide, err := a.manifest.YAML()
	if err != nil {
		return err
	}
	if a.output == "-" {
		_, err = a.out.Write(content)
	} else if err = author.WriteWhole(a.output, content); err == nil {
		fmt.Fprintf(a.out, "ConfigMap %s%s written to %s\n", namespacePrefix(a.manifest.Namespace), a.manifest.Name, a.output)
	}
	if err == nil && serverSide {
		fmt.Fprintln(a.errs, "This ConfigMap is too large for kubectl apply as it is: use kubectl apply --server-side.")
	}
	return err
}

// namespacePrefix is empty for the default namespace.
func namespacePrefix(namespace string) string {
	if namespace == defaultNamespace {
		return ""
	}
	return namespace + "/"
}

// maxObjectBytes is more than a ConfigMap takes, its binary data in base64.
const maxObjectBytes = 4 << 20
