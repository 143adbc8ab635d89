package decide

import (
	"cmp"
	"slices"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// ModelRowKey is the key of a model's row.
func ModelRowKey(namespace, id string) string { return "model/" + namespace + "/" + id }

// AliasRowKey is the key of an alias's row.
func AliasRowKey(namespace, name string) string { return "alias/" + namespace + "/" + name }

// modelRow is without a digest, like every Row of an Output: whoever publishes it makes that.
func modelRow(m *syncv1.Model) *syncv1.Row {
	return &syncv1.Row{Key: ModelRowKey(m.Namespace, m.Id), Value: &syncv1.Row_Model{Model: m}}
}

func aliasRow(a *alias, c change) *syncv1.Row {
	row := &syncv1.Alias{Namespace: a.key.Namespace, Name: a.key.Name, Owner: string(a.owner)}
	switch {
	case c.active == nil:
		row.UnavailableReason = a.fault.Message
	case c.target == nil:
		row.ActiveModelId = c.active.model.Id
	default:
		row.ActiveModelId, row.TargetModelId = c.active.model.Id, c.target.model.Id
	}
	return &syncv1.Row{Key: AliasRowKey(row.Namespace, row.Name), Value: &syncv1.Row_Alias{Alias: row}}
}

// sortedRows sorts each kind by itself: in the order of their objects they nearly are, and all of one kind come before those
// of the other.
func sortedRows(aliases, models []*syncv1.Row) []*syncv1.Row {
	for _, rows := range [][]*syncv1.Row{aliases, models} {
		slices.SortFunc(rows, func(a, b *syncv1.Row) int { return cmp.Compare(a.Key, b.Key) })
	}
	return slices.Concat(aliases, models)
}
