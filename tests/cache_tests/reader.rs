//! Reads JSON objects member by member, and tells where something is that it does not know.
use serde_json::{Map, Value};
use std::{cell::RefCell, collections::BTreeSet};

pub(crate) type Result<T> = std::result::Result<T, String>;

/// A JSON object of which every member must be read.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    at: &'a str,
    members: &'a Map<String, Value>,
    unread: RefCell<BTreeSet<&'a str>>,
}

impl<'a> Object<'a> {
    /// `at` says in errors which one it is.
    pub(crate) fn new(at: &'a str, value: &'a Value) -> Result<Self> {
        let members = value.as_object().ok_or_else(|| format!("{at}: is no object"))?;
        let unread = RefCell::new(members.keys().map(String::as_str).collect());
        Ok(Self { at, members, unread })
    }

    pub(crate) fn member(&self, name: &str) -> Option<&'a Value> {
        self.unread.borrow_mut().remove(name);
        self.members.get(name)
    }

    /// Reads members that mean nothing here.
    pub(crate) fn ignore(&self, names: &[&str]) {
        for name in names {
            self.member(name);
        }
    }

    /// A member that was not read is one whose meaning is not known.
    pub(crate) fn finish(self) -> Result<()> {
        match self.unread.borrow().first() {
            Some(name) => Err(format!("{}: unknown member {name}", self.at)),
            None => Ok(()),
        }
    }

    pub(crate) fn wrong(&self, name: &str) -> String {
        let value = self.members.get(name).unwrap_or(&Value::Null);
        format!("{}: {name} is {value}", self.at)
    }

    fn read<T>(&self, name: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Result<Option<T>> {
        let value = self.member(name);
        value.map(|value| read(value).ok_or_else(|| self.wrong(name))).transpose()
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<String>> {
        self.read(name, |value| value.as_str().map(str::to_owned))
    }

    /// What has to be there.
    pub(crate) fn needed(&self, name: &str) -> Result<String> {
        self.text(name)?.ok_or_else(|| self.wrong(name))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>> {
        self.read(name, Value::as_bool)
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>> {
        self.read(name, Value::as_u64)
    }

    /// The outer `None` is for a member that is not there, the inner one for `null`.
    pub(crate) fn nullable<T>(
        &self,
        name: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<Option<T>>> {
        self.read(name, |value| match value {
            Value::Null => Some(None),
            value => read(value).map(Some),
        })
    }

    /// A list whose items `read` understands; empty if it is not there.
    pub(crate) fn list<T>(
        &self,
        name: &str,
        read: impl FnMut(&'a Value) -> Option<T>,
    ) -> Result<Vec<T>> {
        let list = self.read(name, |value| value.as_array()?.iter().map(read).collect())?;
        Ok(list.unwrap_or_default())
    }

    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>> {
        self.list(name, |value| value.as_str().map(str::to_owned))
    }
}
