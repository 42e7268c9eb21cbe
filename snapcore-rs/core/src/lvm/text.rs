//! The text that LVM keeps its metadata in: `name = value`, `name { … }`, `[ values ]`, `# comments`.
//!
//! Bounded by the text's length, which is bounded by the label; sections and lists nest at most [`MOST_DEPTH`] deep.

use crate::filesystems::Fault;

const MOST_DEPTH: usize = 16;
/// Names and values at most: 64 bytes each and more.
const MOST_NODES: usize = 1 << 18;

/// A value or a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node<'a> {
    Number(i64),
    Text(&'a str),
    List(Vec<Node<'a>>),
    Section(Section<'a>),
}

/// Names and what they stand for, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Section<'a>(pub(super) Vec<(&'a str, Node<'a>)>);

impl<'a> Section<'a> {
    /// None if it is missing or there twice.
    fn get(&self, name: &str) -> Option<&Node<'a>> {
        let mut nodes = self.0.iter().filter(|node| node.0 == name);
        let node = nodes.next()?;
        nodes.next().is_none().then_some(&node.1)
    }

    pub(super) fn number(&self, name: &str) -> Result<u64, Fault> {
        match self.get(name) {
            Some(&Node::Number(number)) => u64::try_from(number).map_err(|_| nonsense()),
            _ => Err(nonsense()),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<&'a str, Fault> {
        match self.get(name) {
            Some(Node::Text(text)) => Ok(text),
            _ => Err(nonsense()),
        }
    }

    pub(super) fn list(&self, name: &str) -> Result<&[Node<'a>], Fault> {
        match self.get(name) {
            Some(Node::List(list)) => Ok(list),
            _ => Err(nonsense()),
        }
    }

    /// An empty one where it is missing.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<&'a str>, Fault> {
        let Some(node) = self.get(name) else { return Ok(Vec::new()) };
        let Node::List(list) = node else { return Err(nonsense()) };
        list.iter()
            .map(|node| match node {
                Node::Text(text) => Ok(*text),
                _ => Err(nonsense()),
            })
            .collect()
    }

    pub(super) fn section(&self, name: &str) -> Option<&Section<'a>> {
        match self.get(name) {
            Some(Node::Section(section)) => Some(section),
            _ => None,
        }
    }

    pub(super) fn sections(&self) -> impl Iterator<Item = (&'a str, &Section<'a>)> {
        self.0.iter().filter_map(|(name, node)| match node {
            Node::Section(section) => Some((*name, section)),
            _ => None,
        })
    }
}

pub(super) fn nonsense() -> Fault {
    Fault::doubt("Its LVM metadata cannot be understood.")
}

/// The whole text as a section.
pub(super) fn parse(text: &[u8]) -> Result<Section<'_>, Fault> {
    // The text ends with a NUL, which its length counts.
    let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
    let text = std::str::from_utf8(&text[..end]).map_err(|_| nonsense())?;
    let mut parser = Parser { rest: text, nodes: 0 };
    let section = parser.section(0)?;
    parser.rest.is_empty().then_some(section).ok_or_else(nonsense)
}

struct Parser<'a> {
    rest: &'a str,
    nodes: usize,
}

impl<'a> Parser<'a> {
    fn blank(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            let Some(comment) = self.rest.strip_prefix('#') else { return };
            self.rest = comment.split_once('\n').map_or("", |lines| lines.1);
        }
    }

    fn take(&mut self, sign: char) -> bool {
        self.blank();
        let rest = self.rest.strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn while_(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|letter| !belongs(letter)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn count(&mut self) -> Result<(), Fault> {
        self.nodes += 1;
        if self.nodes > MOST_NODES { Err(nonsense()) } else { Ok(()) }
    }

    /// Up to its closing brace, which is left, or the end of the text.
    fn section(&mut self, depth: usize) -> Result<Section<'a>, Fault> {
        if depth > MOST_DEPTH {
            return Err(nonsense());
        }
        let mut section = Section::default();
        loop {
            self.blank();
            if self.rest.is_empty() || self.rest.starts_with('}') {
                return Ok(section);
            }
            self.count()?;
            let name =
                self.while_(|letter| letter.is_ascii_alphanumeric() || "_-.+/".contains(letter));
            if name.is_empty() {
                return Err(nonsense());
            }
            let node = if self.take('{') {
                let inner = self.section(depth + 1)?;
                if !self.take('}') {
                    return Err(nonsense());
                }
                Node::Section(inner)
            } else if self.take('=') {
                self.value(depth + 1)?
            } else {
                return Err(nonsense());
            };
            section.0.push((name, node));
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node<'a>, Fault> {
        self.count()?;
        if depth > MOST_DEPTH {
            return Err(nonsense());
        }
        if self.take('"') {
            let mut escaped = false;
            let end = self.rest.find(|letter| match letter {
                '"' if !escaped => true,
                _ => {
                    escaped = letter == '\\' && !escaped;
                    false
                }
            });
            // Escapes appear in descriptions alone, which nobody reads: they are left as they are.
            let (text, rest) = self.rest.split_at(end.ok_or_else(nonsense)?);
            self.rest = &rest[1..];
            return Ok(Node::Text(text));
        }
        if self.take('[') {
            let mut list = Vec::new();
            while !self.take(']') {
                if !list.is_empty() && !self.take(',') {
                    return Err(nonsense());
                }
                list.push(self.value(depth + 1)?);
            }
            return Ok(Node::List(list));
        }
        let number = self.while_(|letter| letter.is_ascii_digit() || letter == '-');
        number.parse().map(Node::Number).map_err(|_| nonsense())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_lvm_writes() {
        let text = b"vg {\nid = \"a-b\" # comment\nsize = 8192\nempty = []\nstripes = [\n\"pv0\", 0\n]\nin { x = 1 }\n}\ndescription = \"a \\\"b\\\" \\\\\" # end\0";
        let all = parse(text).unwrap();
        let (name, group) = all.sections().next().unwrap();
        assert_eq!(
            (name, group.text("id").unwrap(), group.number("size").unwrap()),
            ("vg", "a-b", 8192)
        );
        assert_eq!(group.list("stripes").unwrap(), [Node::Text("pv0"), Node::Number(0)]);
        assert_eq!(group.section("in").unwrap().number("x").unwrap(), 1);
        assert!(group.texts("empty").unwrap().is_empty());
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for text in [
            "a",
            "a {",
            "a = ",
            "a = [1 2]",
            "a = \"x",
            "a = 1 }",
            "= 1",
            "a = 99999999999999999999",
            "a = [,]",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse("a {".repeat(100_000).as_bytes()).is_err());
        assert!(parse(format!("a = {}", "[".repeat(100_000)).as_bytes()).is_err());
        let twice = parse(b"a = 1 a = 2").unwrap();
        assert!(twice.number("a").is_err());
    }
}
