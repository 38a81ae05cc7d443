<<<<<<< HEAD
fn main() {
    print!(
        "{}",
        phone_migration_operator::crd::crd_yaml().unwrap_or_default()
    )
}
=======
fn main() {}
>>>>>>> cams
