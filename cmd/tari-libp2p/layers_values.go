package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// kind is what a value of an option is in the file.
type kind string

const (
	kindBool   kind = "boolean"
	kindNumber kind = "number"
	kindText   kind = "text"
	kindList   kind = "list"
)

func kindOf(f *pflag.Flag) kind {
	if _, ok := f.Value.(pflag.SliceValue); ok {
		return kindList
	}
	switch f.Value.Type() {
	case "bool":
		return kindBool
	case "number", "uint16", "uint64":
		return kindNumber
	}
	return kindText
}

// belongs says what stands in the file for a value of this kind.
func (k kind) belongs() error {
	switch k {
	case kindBool:
		return errors.New("true or false belongs here, without quotes")
	case kindNumber:
		return errors.New("a whole number belongs here, without quotes")
	case kindList:
		return errors.New(`a list of texts belongs here, such as ["a", "b"]`)
	default:
		return errors.New("a text in quotes belongs here")
	}
}

// setText sets an option to the text of its variable, a list with commas between its items.
func setText(f *pflag.Flag, text string) error {
	items, ok := f.Value.(pflag.SliceValue)
	if !ok {
		return plainly(f, f.Value.Set(text))
	}
	texts, err := splitList(text)
	if err != nil {
		return err
	}
	return items.Replace(texts)
}

// setValue sets an option to a value of the file.
func setValue(f *pflag.Flag, value any) error {
	text, ok := "", false
	switch v := value.(type) {
	case notTaken:
		return fmt.Errorf("%s; %w", string(v), kindOf(f).belongs())
	case bool:
		text, ok = strconv.FormatBool(v), kindOf(f) == kindBool
	case int64:
		text, ok = strconv.FormatInt(v, 10), kindOf(f) == kindNumber
	case string:
		text, ok = v, kindOf(f) == kindText
	case []any:
		if items, all := textsOf(v); all && kindOf(f) == kindList {
			return f.Value.(pflag.SliceValue).Replace(items)
		}
	}
	if !ok {
		return kindOf(f).belongs()
	}
	return plainly(f, f.Value.Set(text))
}

func textsOf(values []any) (texts []string, all bool) {
	texts = []string{}
	for _, v := range values {
		text, ok := v.(string)
		if !ok {
			return nil, false
		}
		texts = append(texts, text)
	}
	return texts, true
}

// plainly says in our words what strconv says of a number or a boolean.
func plainly(f *pflag.Flag, err error) error {
	if !errors.As(err, new(*strconv.NumError)) {
		return err
	}
	switch f.Value.Type() {
	case "bool":
		return errors.New("true or false")
	case "uint16":
		return errors.New("a whole number from 0 to 65535")
	default:
		return errors.New("a whole number, not below 0")
	}
}

// valueNow is the value that an option has, as the file would have it.
func valueNow(f *pflag.Flag) any {
	switch kindOf(f) {
	case kindBool:
		return f.Value.String() == "true"
	case kindNumber:
		n, _ := strconv.ParseInt(f.Value.String(), 10, 64) // all numbers are small
		return n
	case kindList:
		return append([]string{}, f.Value.(pflag.SliceValue).GetSlice()...)
	default:
		return f.Value.String()
	}
}

// literal writes a value of valueNow as TOML. None has characters that Go quotes in another way than TOML.
func literal(value any) string {
	items, ok := value.([]string)
	if !ok {
		return showLiteral(value)
	}
	quoted := make([]string, len(items))
	for i, item := range items {
		quoted[i] = strconv.Quote(item)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func showLiteral(value any) string {
	if text, ok := value.(string); ok {
		return strconv.Quote(text)
	}
	return fmt.Sprint(value)
}

// maxItems is how many items of a list are shown.
const maxItems = 10

// showValue shows a value as TOML, or the beginning of it.
func showValue(value any) string {
	switch v := value.(type) {
	case notTaken:
		return ""
	case string:
		return preview([]byte(v))
	case []any:
		var items []string
		for _, item := range v[:min(len(v), maxItems)] {
			text := "…" // no option takes what is no text
			if s, ok := item.(string); ok {
				text = showValue(s)
			}
			items = append(items, text)
		}
		if len(v) > maxItems {
			items = append(items, "…")
		}
		return "[" + strings.Join(items, ", ") + "]"
	default:
		return fmt.Sprint(v)
	}
}
