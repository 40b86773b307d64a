//! Locate: which objects have these attributes (KMIP 1.4 §4.9).

use crate::{
    attribute::{Attribute, TemplateAttribute},
    sought::Sought,
    tables::ObjectGroupMember,
    ttlv::record,
};

record! {
    pub struct Request {
        opt maximum_items: i32 = MAXIMUM_ITEMS V1_0,
        opt offset_items: i32 = OFFSET_ITEMS V1_3,
        opt storage_status_mask: i32 = STORAGE_STATUS_MASK V1_0,
        opt object_group_member: ObjectGroupMember = OBJECT_GROUP_MEMBER V1_1,
        many attributes: Sought = ATTRIBUTE V1_0,
        /// Not in the specification: FortiOS wraps the attributes in one.
        opt template_attribute: TemplateAttribute = TEMPLATE_ATTRIBUTE V1_0,
    }
}

impl Request {
    /// The request for every object that has all of `attributes`.
    pub fn of(attributes: Vec<Attribute>) -> Self {
        Self {
            maximum_items: None,
            offset_items: None,
            storage_status_mask: None,
            object_group_member: None,
            attributes: attributes.into_iter().map(Sought::Whole).collect(),
            template_attribute: None,
        }
    }
}

record! {
    pub struct Answer<'a> {
        /// How many objects match, whatever Maximum Items and Offset Items cut away.
        opt located_items: i32 = LOCATED_ITEMS V1_3,
        many unique_identifiers: &'a str = UNIQUE_IDENTIFIER V1_0,
    }
}
