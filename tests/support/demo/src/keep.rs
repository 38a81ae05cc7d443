//! `--keep`: everything stays up, and a person looks around.

use std::path::{Path, PathBuf};

use harness::cams_simulator::UnknownNumber;
use harness::{Error, Result};

use crate::board::Board;
use crate::cast::{Part, cast};
use crate::setup::Setup;

/// Opens the cloud to any number, and prints what to type.
///
/// # Errors
/// When the simulator refuses its setting.
pub fn say_how_to_look_around(setup: &Setup, board: &Board) -> Result<()> {
    setup
        .world
        .sim
        .change_settings(|settings| settings.unknown_number = UnknownNumber::AcceptAnyCode)
        .map_err(Error::at("simulator"))?;
    board.print(&text(setup));
    Ok(())
}

fn text(setup: &Setup) -> String {
    let kubectl = match on_path("kubectl") {
        true => "kubectl".to_owned(),
        false => setup
            .world
            .plane
            .control
            .kubectl_path()
            .display()
            .to_string(),
    };
    let killed = cast().into_iter().find(|role| role.part == Part::Killed);
    let (namespace, name) = killed.map_or_else(Default::default, |r| (r.namespace, r.name));
    let sample = shortest(&harness::repository().join("deploy/samples/phone-migration.yaml"));
    format!(
        "
Everything runs until Ctrl-C. In another terminal:

  export KUBECONFIG={kubeconfig}
  {kubectl} get phmig -A -o wide
  {kubectl} -n {namespace} describe phmig {name}
  {kubectl} -n tenant-a create secret generic store-42-code --from-literal=code=123456 && {kubectl} apply -f {sample}

The last one migrates one more number (the simulated cloud now takes any code for numbers it does
not know). Ledger of the cloud: {admin}/ledger. Logs of the operator: {logs}/operator-*.log",
        kubeconfig = setup.kubeconfig().display(),
        sample = sample.display(),
        admin = setup.world.sim.admin_url(),
        logs = setup.world.dir().display(),
    )
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// Relative to where we are, if it is below.
fn shortest(path: &Path) -> PathBuf {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let here = std::env::current_dir().ok();
    let relative = here.and_then(|here| full.strip_prefix(here).map(Path::to_owned).ok());
    relative.unwrap_or(full)
}
