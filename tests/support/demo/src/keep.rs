//! `--keep`: everything stays up so that the user can look around.

use std::path::{Path, PathBuf};

use harness::cams_simulator::UnknownNumber;
use harness::{Error, Result};

use crate::board::Board;
use crate::cast::{Part, cast};
use crate::setup::Setup;

/// Opens the cloud to any number, and prints what to type.
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
    // Not the kubectl in PATH: it may be of any version.
    let kubectl = setup.world.plane.control.kubectl_path();
    let kubectl = kubectl.display();
    let killed = cast().into_iter().find(|role| role.part == Part::Killed);
    let (namespace, name) = killed.map_or_else(Default::default, |r| (r.namespace, r.name));
    let sample = shortest(&harness::repository().join("deploy/samples/phone-migration.yaml"));
    format!(
        "
Everything runs until Ctrl-C. In another terminal:

  export KUBECONFIG={kubeconfig}
  {kubectl} get phmig -A -o wide
  {kubectl} -n {namespace} describe phmig {name}
  {kubectl} -n {ledgers} get codeledgers
  {kubectl} apply -f {sample}
  {plugin} code store-42 -n tenant-a
  {plugin} status -A -w

The plugin asks for a code: any six digits will do (the simulated cloud now takes any code for
numbers it does not know). Ledger of the cloud: {admin}/ledger. Logs of the operator:
{logs}/operator-*.log",
        plugin = shortest(&setup.plugin).display(),
        kubeconfig = setup.kubeconfig().display(),
        ledgers = setup.world.ledger_namespace,
        sample = sample.display(),
        admin = setup.world.sim.admin_url(),
        logs = setup.world.dir().display(),
    )
}

/// Relative to the current directory, if the path is below it.
fn shortest(path: &Path) -> PathBuf {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let here = std::env::current_dir().ok();
    let relative = here.and_then(|here| full.strip_prefix(here).map(Path::to_owned).ok());
    relative.unwrap_or(full)
}
